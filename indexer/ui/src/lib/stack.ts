//! Stack traces: which lines of a message are frames, so that they can be folded away.

/** Frames fewer than this in a row are shown as they are: folding them would save nothing. */
const FEWEST_TO_FOLD = 4;
/** How many frames stay visible above a fold: the place where it happened is nearly always there. */
const SHOWN = 2;

const FRAME = [
  /^\s+at\s/, // Java, JavaScript, .NET
  /^\s*\.{3}\s\d+\s+(?:more|common frames)/, // Java
  /^\s+File "/, // Python
  /^ {4,}\S/, // Python's source lines, and anything indented deep
  /^\s+from\s\S+:\d+/, // Ruby
  /^\s+\S+\.(?:rb|py|js|ts|go|php|ex|exs|rs):\d+/, // Ruby on Rails, others
  /^\t\S+:\d+/, // Go
  /^(?:[\w./*()-]+)\(.*\)$/, // Go's function lines
  /^#\d+\s/, // PHP, gdb
  /^\s+\d+:\s/, // Rust
];

/** A run of lines: shown, or folded away. */
export interface Run {
  lines: string[];
  folded: boolean;
}

export function isFrame(line: string): boolean {
  return FRAME.some((pattern) => pattern.test(line));
}

/** Cuts a message into what is shown and what is folded. One run of plain lines if nothing is worth folding. */
export function fold(message: string): Run[] {
  const runs: Run[] = [];
  const push = (lines: string[], folded: boolean) => {
    const last = runs.at(-1);
    if (lines.length === 0) return;
    if (last && last.folded === folded) last.lines.push(...lines);
    else runs.push({ lines, folded });
  };
  let frames: string[] = [];
  const flush = () => {
    if (frames.length < FEWEST_TO_FOLD + SHOWN) {
      push(frames, false);
    } else {
      push(frames.slice(0, SHOWN), false);
      push(frames.slice(SHOWN), true);
    }
    frames = [];
  };
  for (const [i, line] of message.split('\n').entries()) {
    if (i > 0 && isFrame(line)) {
      frames.push(line);
    } else {
      flush();
      push([line], false);
    }
  }
  flush();
  return runs;
}

/** What a row shows of a message with several lines: the first, and where a later line says more, that one. */
export function headline(message: string): { first: string; gist: string; more: number } {
  const end = message.indexOf('\n');
  if (end < 0) return { first: message, gist: '', more: 0 };
  const lines = message.split('\n');
  const rest = lines.slice(1).filter((line) => line.trim() !== '');
  const first = lines[0] ?? '';
  // Python says last what went wrong; Java says it behind `Caused by:`.
  const gist = rest.findLast((line) => /^Caused by:|^\S*(?:Error|Exception)\b.*/.test(line)) ?? '';
  return { first, gist: gist === first ? '' : gist, more: rest.length };
}
