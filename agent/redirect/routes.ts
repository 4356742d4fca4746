import type { Native, NetnsFd, Rule } from '../../native/index.ts';
import { addressFamily } from '../model/address.ts';
import { MARK } from '../model/datapath.ts';

/** Between the kernel's own `local` (0) and `main` (32766), before what a CNI usually adds. */
const PRIORITY = Object.freeze({ capture: 101, toApp: 102 });
/** "AQ"; one table for both marks. */
export const TABLE = 0x4151;
const FULL_MASK = 0xffff_ffff;
/**
 * The mark must come back with the answer: on accepted sockets it also tells the agent where a connection came from;
 * reflected, the kernel's own RST to a closed port finds its way to the agent's socket on lo instead of out to the wire.
 */
const SYSCTLS: Readonly<Record<4 | 6, readonly string[]>> = Object.freeze({
  4: ['net/ipv4/tcp_fwmark_accept', 'net/ipv4/fwmark_reflect'],
  6: ['net/ipv4/tcp_fwmark_accept', 'net/ipv6/fwmark_reflect'],
});

type Netlink = Pick<
  Native,
  | 'addRule'
  | 'deleteRule'
  | 'listRules'
  | 'addLocalRoute'
  | 'deleteLocalRoute'
  | 'listLocalRoutes'
  | 'readSysctl'
  | 'writeSysctl'
>;

export interface RouteDrift {
  what: 'rule' | 'route' | 'sysctl' | 'foreign rule';
  detail: string;
  mended: boolean;
}

/**
 * The routing of one pod: what carries CAPTURE or TOAPP is local, and comes in over `lo`. Only for the families in which
 * the pod has an address; in the other one connect fails as it did before.
 */
export class PodRoutes {
  readonly #native: Netlink;
  readonly #netns: NetnsFd;
  /** By family, the source address that captured connections get. */
  readonly #sources: ReadonlyMap<4 | 6, string>;
  readonly #sysctlsBefore = new Map<string, string>();

  constructor(native: Netlink, netns: NetnsFd, addresses: readonly string[]) {
    this.#native = native;
    this.#netns = netns;
    const sources = new Map<4 | 6, string>();
    for (const address of addresses) {
      const family = addressFamily(address);
      if (!sources.has(family)) sources.set(family, address);
    }
    this.#sources = sources;
  }

  /** Idempotent. Throws `NativeError`. */
  apply(): void {
    this.#mend();
  }

  /** Puts back what is missing and names it; a mark's rule that others put before ours is named only: guard refuses. */
  verify(): RouteDrift[] {
    return this.#mend();
  }

  /** Idempotent; tolerates a namespace that has lost some of it. */
  remove(): void {
    for (const rule of this.#rules()) this.#native.deleteRule(this.#netns, rule);
    for (const [family, source] of this.#sources) {
      this.#native.deleteLocalRoute(this.#netns, { family, table: TABLE, source });
    }
    for (const [name, value] of this.#sysctlsBefore) this.#native.writeSysctl(this.#netns, name, value);
    this.#sysctlsBefore.clear();
  }

  #mend(): RouteDrift[] {
    const drifts: RouteDrift[] = [];
    const mend = (what: RouteDrift['what'], detail: string, repair: () => void): void => {
      repair();
      drifts.push({ what, detail, mended: true });
    };
    const rules = this.#native.listRules(this.#netns);
    // The route first: a rule without it would send captured packets on to the main table.
    const routes = this.#native.listLocalRoutes(this.#netns);
    for (const [family, source] of this.#sources) {
      const route = { family, table: TABLE, source };
      if (routes.some((found) => found.family === family && found.table === TABLE && found.source === source)) continue;
      mend('route', `local default dev lo table ${TABLE} (IPv${family})`, () =>
        this.#native.addLocalRoute(this.#netns, route),
      );
    }
    for (const rule of this.#rules()) {
      if (rules.some((found) => sameRule(found, rule))) continue;
      mend('rule', `fwmark 0x${rule.mark.toString(16)} (IPv${rule.family})`, () =>
        this.#native.addRule(this.#netns, rule),
      );
    }
    for (const name of this.#sysctls()) {
      const value = this.#native.readSysctl(this.#netns, name).trim();
      if (value === '1') continue;
      if (!this.#sysctlsBefore.has(name)) this.#sysctlsBefore.set(name, value);
      mend('sysctl', name, () => this.#native.writeSysctl(this.#netns, name, '1'));
    }
    for (const found of rules) {
      if (!this.#sources.has(found.family) || found.priority === 0 || found.priority >= PRIORITY.capture) continue;
      const detail = `priority ${found.priority} mark 0x${found.mark.toString(16)} table ${found.table}`;
      drifts.push({ what: 'foreign rule', detail: `${detail} (IPv${found.family}) comes before ours`, mended: false });
    }
    return drifts;
  }

  #sysctls(): ReadonlySet<string> {
    return new Set([...this.#sources.keys()].flatMap((family) => SYSCTLS[family]));
  }

  *#rules(): Generator<Rule> {
    for (const family of this.#sources.keys()) {
      for (const kind of ['capture', 'toApp'] as const) {
        yield { family, mark: MARK[kind], mask: FULL_MASK, table: TABLE, priority: PRIORITY[kind] };
      }
    }
  }
}

function sameRule(a: Rule, b: Rule): boolean {
  return (
    a.family === b.family && a.mark === b.mark && a.mask === b.mask && a.table === b.table && a.priority === b.priority
  );
}
