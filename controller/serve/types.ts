/** Type URLs of the resources on the stream. */
export const TYPE_URLS = Object.freeze({
  address: 'type.googleapis.com/istio.workload.Address',
  authorization: 'type.googleapis.com/istio.security.Authorization',
  outbound: 'type.googleapis.com/aquifer.v1.OutboundAuthorization',
});

export type TypeUrl = (typeof TYPE_URLS)[keyof typeof TYPE_URLS];

const known: ReadonlySet<string> = new Set(Object.values(TYPE_URLS));

/** Whether the controller serves this type. */
export function isTypeUrl(text: string): text is TypeUrl {
  return known.has(text);
}
