/** The stages of `lab up`, told to whoever asks, from the first on. */

export const STAGES = ['network', 'controller', 'nodes', 'agents', 'manifests', 'pods'] as const;
export type Stage = (typeof STAGES)[number];

export type ProgressEvent =
  | { stage: Stage; state: 'start' }
  | { stage: Stage; state: 'detail'; detail: string }
  | { stage: Stage; state: 'done'; detail: string; ms: number; warnings: string[] }
  | { state: 'up'; ms: number; settled: boolean }
  | { state: 'failed'; error: string; hint: string | null };

export class Progress {
  readonly #events: ProgressEvent[] = [];
  readonly #listeners = new Set<(event: ProgressEvent) => void>();

  /** Past events at once, then the rest as they come. Returns how to stop. */
  follow(listener: (event: ProgressEvent) => void): () => void {
    for (const event of this.#events) listener(event);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(event: ProgressEvent): void {
    this.#events.push(event);
    for (const listener of this.#listeners) listener(event);
  }

  /** Runs one stage; `work` returns what was done in a few words, and warnings. */
  async stage(
    stage: Stage,
    work: (detail: (text: string) => void) => Promise<{ done: string; warnings?: string[] }>,
  ): Promise<void> {
    const began = performance.now();
    this.tell({ stage, state: 'start' });
    const { done, warnings = [] } = await work((detail) => this.tell({ stage, state: 'detail', detail }));
    this.tell({ stage, state: 'done', detail: done, ms: Math.round(performance.now() - began), warnings });
  }
}
