//! The page's signs, drawn as lines.

import type { JSX } from 'preact';

const PATHS = {
  search: 'M7 2.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9zM10.300 10.300 14 14',
  clock: 'M8 1.800a6.200 6.200 0 1 0 0 12.400A6.200 6.200 0 0 0 8 1.800zM8 4.500V8l2.400 1.600',
  refresh: 'M13.500 8A5.500 5.500 0 1 1 11.700 3.900M13.500 1.500v3h-3',
  live: 'M5 3.200v9.600L12.800 8z',
  pause: 'M5 3v10M11 3v10',
  close: 'm4 4 8 8M12 4l-8 8',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  exists: 'M2 8s2.200-4 6-4 6 4 6 4-2.200 4-6 4-6-4-6-4zM8 6.500v3',
  column: 'M2.500 3h11v10h-11zM6.200 3v10M9.800 3v10',
  copy: 'M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3',
  link: 'M6.500 9.500l3-3M7 4.500l1.600-1.600a3.100 3.100 0 0 1 4.400 4.400L11.500 9M9 11.500l-1.600 1.600A3.100 3.100 0 0 1 3 8.700L4.500 7',
  around: 'M3 4h10M3 8h10M3 12h10M1 8h0',
  right: 'm6 4 4 4-4 4',
  left: 'm10 4-4 4 4 4',
  menu: 'M2.500 4h11M2.500 8h11M2.500 12h11',
  moon: 'M13.200 9.600A5.600 5.600 0 0 1 6.400 2.800a5.600 5.600 0 1 0 6.800 6.800z',
  sun: 'M8 5.200a2.800 2.800 0 1 0 0 5.600 2.800 2.800 0 0 0 0-5.600zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1',
  help: 'M8 1.800a6.200 6.200 0 1 0 0 12.400A6.200 6.200 0 0 0 8 1.800zM6.200 6.200a1.900 1.900 0 1 1 2.700 1.800c-.6.3-.9.700-.9 1.300M8 11.500v.1',
  wrap: 'M2.500 4h11M2.500 8h8.700a2 2 0 0 1 0 4.200H8M9.600 10.500 8 12.200l1.600 1.700M2.500 12.200h2.500',
  sort: 'M5 3v10M2.700 10.700 5 13l2.300-2.300M9 4h5M9 8h3.700M9 12h2.500',
  export: 'M8 2v8M5 7l3 3 3-3M2.500 11v2.500h11V11',
  save: 'M4 2.500h8v11l-4-3-4 3z',
  warn: 'M8 2 1.500 13.500h13zM8 6.500v3.200M8 11.600v.1',
  leave: 'M6 2.500H2.500v11H6M6.500 8H14M11 5l3 3-3 3',
  zoomout: 'M7 2.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9zM10.300 10.300 14 14M5 7h4',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
