/** The whole table of one node, replaced in one transaction. */
import type { Store } from '../../cluster/store.ts';
import { tool } from '../../tools.ts';
import { policyRules } from './policies.ts';
import { serviceRules } from './services.ts';

const TABLE = 'inet aquifer_lab';
const DEBOUNCE_MS = 10;

/** nftables text that stands for the objects in the store. Session affinity starts anew with each replacement. */
export function ruleset(store: Store, node: string): string {
  const services = serviceRules(store.list('Service'), store.list('EndpointSlice'), node);
  const policies = policyRules({
    pods: store.list('Pod'),
    namespaces: store.list('Namespace'),
    policies: store.list('NetworkPolicy'),
    node,
  });
  return `table ${TABLE}\ndelete table ${TABLE}\ntable ${TABLE} {\n${services}\n${policies}\n}\n`;
}

/** Keeps the kernel's table equal to the store's, soon after each change. */
export class RulesetSync {
  readonly #store: Store;
  readonly #node: string;
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | null = null;
  #applied = '';
  #running: Promise<void> = Promise.resolve();

  constructor(store: Store, node: string, onError: (error: unknown) => void) {
    this.#store = store;
    this.#node = node;
    this.#onError = onError;
    store.onChange(() => this.#schedule());
    this.#schedule();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#running = this.#running.then(() => this.#apply()).catch(this.#onError);
    }, DEBOUNCE_MS);
  }

  async #apply(): Promise<void> {
    const text = ruleset(this.#store, this.#node);
    if (text === this.#applied) return;
    await tool('nft', ['-f', '-'], { input: text });
    this.#applied = text;
  }
}
