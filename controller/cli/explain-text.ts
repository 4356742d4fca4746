import type { ConsideredPolicy, Explanation } from '../../agent/decide/explain.ts';
import type { Candidate } from '../../agent/model/connection.ts';
import { formatSpiffe } from '../../agent/model/identity.ts';
import type { Workload } from '../../agent/model/workload.ts';
import type { Palette } from './palette.ts';
import { table } from './table.ts';
import { type ConnectionVerdict, type EndpointVerdict, isEnrolled } from './verdict.ts';

const PATHS: Readonly<Record<Candidate['path'], string>> = {
  SameNode: 'same node, the caller attested by its network namespace',
  CrossNode: 'other node',
  Hbone: 'other node, through a tunnel',
  Passthrough: 'not in the mesh, passed on as it is',
  ToApp: 'to the app',
};

/** The data path's names of fields that an L4Policy calls otherwise. */
const WRITTEN: Readonly<Record<string, string>> = {
  sourceIps: 'ipBlocks',
  notSourceIps: 'notIpBlocks',
  destinationPorts: 'ports',
  notDestinationPorts: 'notPorts',
};

/** The caller and, as far as the mesh knows, who it is. */
export function sourceText(source: Workload): string {
  const identity = isEnrolled(source)
    ? formatSpiffe(source.identity)
    : 'not enrolled: no identity, only its address counts';
  return `from  ${source.namespace}/${source.name} (${source.addresses.join(', ')}, ${source.node})  ${identity}\n`;
}

/** The whole judgement, ended by a line with the verdict and what decided it. */
export function verdictText(verdict: ConnectionVerdict, palette: Palette): string {
  if (verdict.kind === 'refused') return `\n${palette.bad('DENIED')}: ${verdict.reason}\n`;
  const endpoints = verdict.endpoints.map((endpoint) => endpointText(endpoint, palette)).join('');
  return `${endpoints}\n${summary(verdict.endpoints, palette)}\n${auditText(verdict.endpoints, palette)}`;
}

/** Audit policies change nothing, but whoever asks about a connection wants to know what they will do once enforced. */
function auditText(endpoints: readonly EndpointVerdict[], palette: Palette): string {
  const sides = endpoints.flatMap(({ outbound, inbound }) => [outbound, inbound]);
  const policies = new Set(sides.flatMap((side) => side?.verdict.audited ?? []));
  if (policies.size === 0) return '';
  return palette.warn(`if they were enforced, these audit policies would refuse it: ${[...policies].join(', ')}\n`);
}

function endpointText(endpoint: EndpointVerdict, palette: Palette): string {
  const { workload, address, port, path } = endpoint.candidate;
  const name = workload === null ? 'no workload of the mesh' : `${workload.namespace}/${workload.name}`;
  const place = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  const way = endpoint.outbound === null ? 'not captured, goes as it would without a mesh' : PATHS[path];
  return (
    `\n${palette.strong(`${name}  ${place}`)}  ${way}\n` +
    sideText('leaving the caller', endpoint.outbound, 'the caller is not enrolled', palette) +
    sideText('entering the callee', endpoint.inbound, 'the callee is not enrolled', palette)
  );
}

function sideText(title: string, explanation: Explanation | null, absent: string, palette: Palette): string {
  if (explanation === null) return `  ${title}: not judged, ${absent}\n`;
  const { considered, verdict } = explanation;
  const word = verdict.allowed ? palette.good('allowed') : palette.bad('denied');
  if (considered.length === 0)
    return `  ${title}: ${word}, ${verdict.reason === 'ok' ? 'no policy applies' : verdict.reason}\n`;
  const rows = considered.map((policy) => [
    policy.name,
    policy.action,
    outcome(policy),
    policy.decides ? '← decides' : '',
  ]);
  const lines = table(['POLICY', 'ACTION', 'OUTCOME', ''], rows).trimEnd().split('\n');
  return `  ${title}: ${word}\n${lines.map((line) => `    ${line}\n`).join('')}`;
}

function outcome({ enforcement, outcome: what, matchingRule, mismatches }: ConsideredPolicy): string {
  const audit = enforcement === 'Audit' ? ' (audit: logged only)' : '';
  if (matchingRule !== null) return `rule ${matchingRule + 1} matches${audit}`;
  if (what !== 'does not match') return `${what}${audit}`;
  if (mismatches.length === 0) return `has no rules, so nothing matches${audit}`;
  const reasons = mismatches.map((fields, index) => `rule ${index + 1}: ${mismatchText(fields)}`);
  return `${reasons.join('; ')}${audit}`;
}

/** Fields as a policy calls them; one that begins with `not` excludes the connection instead. */
function mismatchText(fields: readonly string[]): string {
  const named = [...new Set(fields.map((field) => WRITTEN[field] ?? field))];
  const differ = named.filter((field) => !/^not[A-Z]/.test(field));
  const excluding = named.filter((field) => /^not[A-Z]/.test(field));
  const texts = [
    ...(differ.length === 0 ? [] : [`${differ.join(' or ')} differ`]),
    ...(excluding.length === 0 ? [] : [`excluded by ${excluding.join(' or ')}`]),
  ];
  return texts.join(' or ');
}

function summary(endpoints: readonly EndpointVerdict[], palette: Palette): string {
  const denied = endpoints.filter(({ allowed }) => !allowed);
  if (denied.length === 0) return `${palette.good('ALLOWED')}${because(endpoints[0])}`;
  if (denied.length === endpoints.length) return `${palette.bad('DENIED')}${because(denied[0])}`;
  return `${palette.warn('DEPENDS')}: ${denied.length} of ${endpoints.length} endpoints are denied${because(denied[0])}`;
}

/** The policy of the side that refuses, else of the destination's. */
function because(endpoint: EndpointVerdict | undefined): string {
  const sides = [endpoint?.outbound, endpoint?.inbound].filter((side) => side !== null && side !== undefined);
  const side = sides.find((each) => !each.verdict.allowed) ?? sides.at(-1);
  const verdict = side?.verdict;
  if (verdict === undefined) return ': no end of it is in the mesh';
  if (verdict.policy === null) return verdict.allowed ? ': no policy forbids it (mesh default)' : `: ${verdict.reason}`;
  if (verdict.reason !== 'policy_not_allowed') return ` by ${verdict.policy}`;
  const whom = side?.direction === 'Outbound' ? 'this destination' : 'the caller';
  return ` by ${verdict.policy}: none of its rules admits ${whom}`;
}
