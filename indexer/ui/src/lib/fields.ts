//! A document's fields: nested objects as dotted names.

/** How deep objects are opened; below that they are shown as JSON. The indexer opens as many. */
const MAX_DEPTH = 20;

export type Source = Record<string, unknown>;

/** Every field with its value; arrays of plain values stay arrays, anything else becomes JSON text. */
export function flatten(source: Source): Map<string, unknown> {
  const out = new Map<string, unknown>();
  const walk = (prefix: string, value: unknown, depth: number) => {
    if (value !== null && typeof value === 'object' && !Array.isArray(value) && depth < MAX_DEPTH) {
      for (const [key, inner] of Object.entries(value)) walk(prefix ? `${prefix}.${key}` : key, inner, depth + 1);
    } else {
      out.set(prefix, value);
    }
  };
  walk('', source, 0);
  return out;
}

/** The value of one field, whether its name is written with dots, nested, or a mix of both. */
export function valueOf(source: unknown, path: string): unknown {
  if (source === null || typeof source !== 'object') return undefined;
  const object = source as Source;
  if (Object.hasOwn(object, path)) return object[path];
  for (let dot = path.indexOf('.'); dot > 0; dot = path.indexOf('.', dot + 1)) {
    const head = path.slice(0, dot);
    if (Object.hasOwn(object, head)) {
      const found = valueOf(object[head], path.slice(dot + 1));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** A value as the text that a person reads and copies. */
export function asText(value: unknown): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((v) => typeof v !== 'object' || v === null)) return value.map(asText).join(', ');
  return JSON.stringify(value);
}
