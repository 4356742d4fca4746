/** Colours of the terminal, or none. */
export interface Palette {
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
  strong(text: string): string;
  faint(text: string): string;
}

const code = (open: number, close: number) => (text: string) => `\u001b[${open}m${text}\u001b[${close}m`;
const same = (text: string) => text;

export const PLAIN: Palette = Object.freeze({ good: same, bad: same, warn: same, strong: same, faint: same });

export const COLOURED: Palette = Object.freeze({
  good: code(32, 39),
  bad: code(31, 39),
  warn: code(33, 39),
  strong: code(1, 22),
  faint: code(2, 22),
});
