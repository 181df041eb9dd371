//! How the page is built: a script, another for the chart, a style sheet, each already compressed for the indexer to embed.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

/** Writes `x.gz` and `x.br` beside every built file `x`, so that the indexer never compresses at run time. */
function compressed(): Plugin {
  let out = '';
  return {
    name: 'weir-compressed',
    apply: 'build',
    configResolved(config) {
      out = config.build.outDir;
    },
    closeBundle() {
      for (const path of filesIn(out)) {
        const bytes = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }));
      }
    },
  };
}

function filesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesIn(path) : [path];
  });
}

// `npm run dev` serves the page alone and hands API calls to a weir that is already running.
const indexer = process.env.WEIR_INDEXER ?? 'http://127.0.0.1:9200';

export default defineConfig({
  plugins: [compressed()],
  build: {
    assetsDir: '_ui',
    outDir: process.env.WEIR_UI_OUT ?? 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // The Content-Security-Policy allows no data: addresses and nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '^/(_(?!ui)|api/|[^/@.]+/_)': indexer,
    },
  },
});
