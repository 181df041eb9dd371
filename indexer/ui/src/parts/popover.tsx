//! A small window below a button: closes on Escape, on a click elsewhere, and gives the focus back.

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

interface Props {
  label: string;
  onClose: () => void;
  align?: 'left' | 'right';
  children: ComponentChildren;
}

export function Popover({ label, onClose, align = 'right', children }: Props): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const opener = document.activeElement as HTMLElement | null;
    box.current?.querySelector<HTMLElement>('input, select, button')?.focus();
    const onKey = (e: KeyboardEvent) => {
      if (e.key !== 'Escape') return;
      e.stopPropagation();
      onClose();
      opener?.focus();
    };
    const onDown = (e: Event) => {
      const target = e.target as Node;
      if (!box.current?.contains(target) && !box.current?.parentElement?.contains(target)) onClose();
    };
    document.addEventListener('keydown', onKey, true);
    document.addEventListener('pointerdown', onDown);
    return () => {
      document.removeEventListener('keydown', onKey, true);
      document.removeEventListener('pointerdown', onDown);
    };
  }, []);
  return <div class={`popover ${align}`} role="dialog" aria-label={label} data-popover ref={box}>{children}</div>;
}
