/**
 * Gives equal label sets one small number. The object that they come from is looked up first (by reference, weakly), so
 * labels are built once for each object and not once for each connection. Number 0 is "absent"; when `max` is reached,
 * further sets share the last number.
 */
export class Interner<T extends object> {
  readonly #ids = new WeakMap<T, number>();
  readonly #byText = new Map<string, number>();
  readonly #labels: Readonly<Record<string, string>>[];
  readonly #max: number;
  readonly #labelsOf: (value: T | null) => Readonly<Record<string, string>>;

  constructor(max: number, labelsOf: (value: T | null) => Readonly<Record<string, string>>) {
    this.#max = max;
    this.#labelsOf = labelsOf;
    this.#labels = [labelsOf(null)];
  }

  id(value: T | null): number {
    if (value === null) return 0;
    return this.#ids.get(value) ?? this.#intern(value);
  }

  labels(value: T | null): Readonly<Record<string, string>> {
    return this.#labels[this.id(value)] ?? {};
  }

  #intern(value: T): number {
    const labels = this.#labelsOf(value);
    const text = JSON.stringify(labels);
    const id = this.#byText.get(text) ?? this.#add(text, labels);
    this.#ids.set(value, id);
    return id;
  }

  #add(text: string, labels: Readonly<Record<string, string>>): number {
    if (this.#labels.length >= this.#max) return this.#max - 1;
    this.#byText.set(text, this.#labels.length);
    return this.#labels.push(labels) - 1;
  }
}
