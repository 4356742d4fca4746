import { z } from 'zod';
import { canonicalAddress, parseCidr } from '../core/address.ts';
import { parsePorts } from '../core/ports.ts';
import { parseStringMatch } from '../core/string-match.ts';

/** Adds a custom issue; `hint` ends up in the problem. */
export function complain(
  context: z.RefinementCtx,
  message: string,
  options: { hint?: string; path?: PropertyKey[] } = {},
): void {
  context.addIssue({
    code: 'custom',
    message,
    ...(options.path === undefined ? {} : { path: options.path }),
    ...(options.hint === undefined ? {} : { params: { hint: options.hint } }),
  });
}

const LABEL_NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** Whether it can name a namespace or Service (RFC 1123 label). */
export function isDnsLabel(text: string): boolean {
  return DNS_LABEL.test(text);
}

/** Whether it can name most other objects (RFC 1123 subdomain). */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && DNS_SUBDOMAIN.test(text);
}

/** Kubernetes' rule for a label key: `[prefix/]name`. */
export function isLabelKey(key: string): boolean {
  const slash = key.indexOf('/');
  if (slash < 0) return LABEL_NAME.test(key);
  return isDnsSubdomain(key.slice(0, slash)) && LABEL_NAME.test(key.slice(slash + 1));
}

/** Kubernetes' rule for a label value: empty, or 1 to 63 characters of `[A-Za-z0-9_.-]`. */
export function isLabelValue(value: string): boolean {
  return value === '' || LABEL_NAME.test(value);
}

/** Labels with Kubernetes' rules; a value that YAML read as a number or boolean must be quoted. */
export const labels = z.record(z.string(), z.string()).superRefine((value, context) => {
  for (const [key, text] of Object.entries(value)) {
    if (!isLabelKey(key)) complain(context, `"${key}" is not a label key`, { path: [key], hint: '[prefix/]name' });
    if (!isLabelValue(text)) {
      const hint = 'at most 63 of A-Z a-z 0-9 _ . -, the first and last alphanumeric';
      complain(context, `"${text}" is not a label value`, { path: [key], hint });
    }
  }
});

export const dnsLabel = z.string().superRefine((text, context) => {
  if (!isDnsLabel(text)) {
    complain(context, `"${text}" is not a valid name`, { hint: 'lower-case letters, digits and -, at most 63' });
  }
});

export const dnsSubdomain = z.string().superRefine((text, context) => {
  if (!isDnsSubdomain(text)) {
    complain(context, `"${text}" is not a valid name`, { hint: 'lower-case letters, digits, - and ., at most 253' });
  }
});

/** One port. */
export const portNumber = z
  .number({ error: 'must be a port number' })
  .int()
  .min(1, { error: 'must be a port, 1 to 65535' })
  .max(65_535, { error: 'must be a port, 1 to 65535' });

/** `5432` or `"8000-8100"`. */
export const portSpec = z.union([z.number(), z.string()]).superRefine((value, context) => {
  if (parsePorts(value) === null) {
    complain(context, `${JSON.stringify(value)} is not a port`, { hint: '1 to 65535, or a range such as "8000-8100"' });
  }
});

export const ipAddress = z.string().superRefine((text, context) => {
  if (canonicalAddress(text) === null) complain(context, `"${text}" is not an IP address`);
});

export const cidr = z.string().superRefine((text, context) => {
  const result = parseCidr(text);
  if (!result.ok) complain(context, result.reason, result.hint === undefined ? {} : { hint: result.hint });
});

const STAR_HINT = 'exact, prefix*, *suffix or *';

/** Namespaces: exact or with `*` at one end. */
export const namespaceMatch = z.string().superRefine((text, context) => {
  const match = parseStringMatch(text);
  if (match === null) complain(context, `"${text}" is not a match`, { hint: STAR_HINT });
  else if (match.kind === 'exact' && !isDnsLabel(match.value)) complain(context, `"${text}" is not a namespace`);
});

/** `namespace/name`, or `name` in the policy's own namespace; no wildcards, which the wire format has none of. */
export const serviceAccountName = z.string().superRefine((text, context) => {
  if (text.includes('*')) {
    complain(context, `"${text}" has a wildcard`, { hint: 'use namespaces or principals for patterns' });
    return;
  }
  const parts = text.split('/');
  const name = parts.pop() ?? '';
  const bad = parts.length > 1 || parts.some((part) => !isDnsLabel(part)) || !isDnsSubdomain(name);
  if (bad) complain(context, `"${text}" is not a service account`, { hint: 'namespace/name, or name' });
});

/** `trust-domain/ns/<ns>/sa/<sa>` with an optional `spiffe://`, or with `*` at one end. */
export const principalMatch = z.string().superRefine((text, context) => {
  const bare = text.startsWith('spiffe://') ? text.slice('spiffe://'.length) : text;
  const match = parseStringMatch(bare);
  if (match === null) complain(context, `"${text}" is not a principal`, { hint: STAR_HINT });
  else if (match.kind === 'exact' && !/^[^/]+\/ns\/[^/]+\/sa\/[^/]+$/.test(bare)) {
    complain(context, `"${text}" is not a principal`, { hint: '<trust domain>/ns/<namespace>/sa/<service account>' });
  }
});

/** `namespace/name` or `name`, each part exact or with `*` at one end. */
export const serviceMatch = z.string().superRefine((text, context) => {
  const parts = text.split('/');
  const bad = parts.length > 2 || parts.some((part) => parseStringMatch(part) === null || /[^a-z0-9*-]/.test(part));
  if (bad) complain(context, `"${text}" is not a Service`, { hint: 'namespace/name or name, * at one end of a part' });
});

/** A host name, exact or `*.suffix`. */
export const hostMatch = z.string().superRefine((text, context) => {
  const bare = text.startsWith('*.') ? text.slice(2) : text;
  if (text !== '*' && !isDnsSubdomain(bare)) {
    complain(context, `"${text}" is not a host name`, {
      hint: 'db.shop.svc.cluster.local or *.shop.svc.cluster.local',
    });
  }
});
