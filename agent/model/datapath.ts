/** What `bpf/include/aquifer.h` and the data path agree on; `test/bpf/layout.test.ts` compares the two. */

/** SO_MARK values inside a pod's network namespace, matched in full. */
export const MARK = Object.freeze({
  /** An app's connection, on its way to the outbound listener. */
  capture: 0x4151_0001,
  /** The agent's connection to the app over `lo`, with the client's own address. */
  toApp: 0x4151_0002,
  /** The agent's same-node connection, from the source pod's namespace. */
  direct: 0x4151_0003,
});

export type ListenerKind = 'outbound' | 'inbound' | 'hbone';
export const LISTENER_KINDS: readonly ListenerKind[] = Object.freeze(['outbound', 'inbound', 'hbone']);
