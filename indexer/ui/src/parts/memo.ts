//! Components that are drawn again only when what they are given has changed.

import { Component, type ComponentChildren, type FunctionComponent, h } from 'preact';

/** Wraps a component so that it is drawn again only when one of its properties is another value. */
export function memo<P extends object>(inner: FunctionComponent<P>): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const before = this.props as Record<string, unknown>;
      const after = next as Record<string, unknown>;
      return Object.keys(after).some((key) => before[key] !== after[key]);
    }

    override render(props: P): ComponentChildren {
      return h(inner, props);
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}
