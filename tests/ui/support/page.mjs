//! Ends well if the weir under test has its page, which it lacks where it was built without Node.js.
import { Weir } from './weir.mjs';

const weir = await Weir.start();
const answer = await weir.get('/', { Accept: 'text/html' });
await weir.stop();
process.exit(answer.ok ? 0 : 1);
