//! The heights of many rows: which row is at a place, and where a row is, both in logarithmic time.

/** A Fenwick tree over row heights in pixels. Rows not measured yet have the height expected of them. */
export class Heights {
  private sums: Float64Array;
  private each: Float32Array;
  private size = 0;

  constructor(private usual: number) {
    this.sums = new Float64Array(1024);
    this.each = new Float32Array(1024);
  }

  get count(): number {
    return this.size;
  }

  /** Starts again with `count` rows of the usual height. */
  reset(count: number, usual: number): void {
    this.usual = usual;
    this.size = 0;
    this.resize(count);
  }

  /** Grows or shrinks to `count` rows; new ones have the usual height. */
  resize(count: number): void {
    if (count < this.size) {
      const kept = this.each.slice(0, count);
      this.size = 0;
      this.grow(count, (i) => kept[i] ?? this.usual);
    } else if (count > this.size) {
      this.grow(count, () => this.usual);
    }
  }

  private grow(count: number, height: (i: number) => number): void {
    if (count >= this.each.length) {
      let room = this.each.length;
      while (room <= count) room *= 2;
      const sums = new Float64Array(room);
      const each = new Float32Array(room);
      sums.set(this.sums);
      each.set(this.each);
      this.sums = sums;
      this.each = each;
    }
    for (let i = this.size; i < count; i += 1) {
      const h = height(i);
      this.each[i] = h;
      // A node's sum covers the rows from the one after (node minus its lowest bit) up to itself.
      const node = i + 1;
      const low = node & -node;
      this.sums[node] = h + this.top(i) - this.top(node - low);
      this.size = i + 1;
    }
    this.size = count;
  }

  height(i: number): number {
    return this.each[i] ?? this.usual;
  }

  /** Notes the true height of a row; answers by how much it differs from what was thought. */
  set(i: number, height: number): number {
    const change = height - (this.each[i] ?? 0);
    if (i >= this.size || Math.abs(change) < 0.5) return 0;
    this.each[i] = height;
    for (let node = i + 1; node <= this.size; node += node & -node) this.sums[node] = (this.sums[node] ?? 0) + change;
    return change;
  }

  /** Where row `i` begins. */
  top(i: number): number {
    let sum = 0;
    for (let node = Math.min(i, this.size); node > 0; node -= node & -node) sum += this.sums[node] ?? 0;
    return sum;
  }

  get total(): number {
    return this.top(this.size);
  }

  /** The row at a place, counted from the top of the first. */
  at(place: number): number {
    let node = 0;
    let rest = place;
    let step = 1;
    while (step * 2 <= this.size) step *= 2;
    for (; step > 0; step >>= 1) {
      const next = node + step;
      const sum = this.sums[next] ?? 0;
      if (next <= this.size && sum <= rest) {
        node = next;
        rest -= sum;
      }
    }
    return Math.min(node, Math.max(0, this.size - 1));
  }
}
