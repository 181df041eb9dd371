//! The levels of a line: their names, their order, and the many ways in which programs spell them.

/** Every level, the most severe first. `unknown` stands for lines whose level nobody could tell. */
export const LEVELS = ['critical', 'error', 'warn', 'notice', 'info', 'debug', 'trace', 'unknown'] as const;

export type Level = (typeof LEVELS)[number];

const SPELLINGS: Record<string, Level> = {
  critical: 'critical', crit: 'critical', fatal: 'critical', panic: 'critical', emerg: 'critical', emergency: 'critical', alert: 'critical',
  error: 'error', err: 'error', severe: 'error',
  warn: 'warn', warning: 'warn',
  notice: 'notice',
  info: 'info', information: 'info', informational: 'info', log: 'info',
  debug: 'debug', fine: 'debug',
  trace: 'trace', verbose: 'trace', finest: 'trace',
};

/** The level that a stored value stands for. */
export function levelOf(value: unknown): Level {
  return typeof value === 'string' ? (SPELLINGS[value.toLowerCase()] ?? 'unknown') : 'unknown';
}

/** Whether something is broken, as far as the level says. */
export function isBad(level: Level): boolean {
  return level === 'critical' || level === 'error';
}
