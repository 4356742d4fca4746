import type { Palette } from './palette.ts';
import type { Flow } from './responses.ts';
import { counted } from './table.ts';

/** What `observe` is asked to show; null and `any`: all. */
export interface FlowFilter {
  namespace: string | null;
  /** `name` or `namespace/name`. */
  pod: string | null;
  verdict: 'any' | 'allowed' | 'denied';
}

/** Denied: refused, or closed because it may not go on. A connection that merely failed is neither judged nor denied. */
export function verdictOf(flow: Flow): 'allowed' | 'denied' {
  return flow.event === 'refused' || flow.reason.startsWith('policy_') ? 'denied' : 'allowed';
}

/** Whether the filter lets it through; a connection belongs to the namespace and pod of both its ends. */
export function flowMatches(flow: Flow, filter: FlowFilter): boolean {
  const ends = [
    { namespace: flow['src.namespace'], name: flow['src.workload'] },
    { namespace: flow['dst.namespace'], name: flow['dst.workload'] },
  ];
  if (filter.verdict !== 'any' && verdictOf(flow) !== filter.verdict) return false;
  if (filter.namespace !== null && !ends.some(({ namespace }) => namespace === filter.namespace)) return false;
  const { pod } = filter;
  if (pod === null) return true;
  return ends.some(({ namespace, name }) => pod === name || pod === `${namespace}/${name}`);
}

const WORDS = { open: 'open', end: 'end', refused: 'DENIED' } as const;

/** One line of text, ended: time, what happened, who and whom, then why or how much. */
export function flowLine(flow: Flow, node: string, palette: Palette): string {
  const time = flow.time.slice(11, 23);
  const denied = verdictOf(flow) === 'denied';
  const word = (denied ? 'DENIED' : WORDS[flow.event]).padEnd(6);
  const mark = denied ? palette.bad(word) : flow.event === 'open' ? palette.good(word) : palette.faint(word);
  const ends = `${sourceOf(flow)} → ${destinationOf(flow)}`;
  return `${palette.faint(time)}  ${node}  ${mark}  ${ends}  ${palette.faint(detailOf(flow))}\n`;
}

function sourceOf(flow: Flow): string {
  return flow['src.workload'] === null ? (flow['src.addr'] ?? '?') : `${flow['src.namespace']}/${flow['src.workload']}`;
}

function destinationOf(flow: Flow): string {
  const port = /:\d+$/.exec(flow['dst.addr'] ?? '')?.[0] ?? '';
  const workload =
    flow['dst.workload'] === null
      ? (flow['dst.addr'] ?? '?')
      : `${flow['dst.namespace']}/${flow['dst.workload']}${port}`;
  return flow['dst.service'] === null ? workload : `${flow['dst.service']} (${workload})`;
}

function detailOf(flow: Flow): string {
  const parts = [
    flow.path ?? '',
    flow.attested === null || flow.attested === 'none' ? '' : `attested=${flow.attested}`,
  ];
  if (flow.policy !== null) parts.push(`policy=${flow.policy}`);
  if (flow.reason !== 'ok') parts.push(`reason=${flow.reason}`);
  if (flow.event === 'end') {
    parts.push(flow.duration ?? '', `${counted(flow.bytes_recv, 'byte')} up, ${counted(flow.bytes_sent, 'byte')} down`);
  }
  return parts.filter((part) => part !== '').join(' ');
}
