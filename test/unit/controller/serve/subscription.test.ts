import { create } from '@bufbuild/protobuf';
import test from 'ava';
import { Index } from '../../../../controller/index/index.ts';
import { DeltaDiscoveryRequestSchema } from '../../../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import { ResourceCache } from '../../../../controller/serve/resource-cache.ts';
import { Subscription } from '../../../../controller/serve/subscription.ts';
import { TYPE_URLS } from '../../../../controller/serve/types.ts';
import { INDEX_OPTIONS } from '../support/index.ts';
import { pod, policy } from '../support/objects.ts';

const request = (more: { responseNonce?: string; errorDetail?: { code: number; message: string } } = {}) =>
  create(DeltaDiscoveryRequestSchema, { typeUrl: TYPE_URLS.address, ...more });

function setup(pods: number, maxResponseBytes: number) {
  const index = new Index(INDEX_OPTIONS);
  const cache = new ResourceCache();
  for (let at = 0; at < pods; at++) index.apply(pod(`p${at}`, { address: `10.0.0.${at}` }));
  cache.update(index.commit());
  const subscription = new Subscription(TYPE_URLS.address, cache, maxResponseBytes);
  cache.onChange((typeUrl, names) => typeUrl === TYPE_URLS.address && subscription.touch(names));
  return { index, cache, subscription };
}

test('a large answer is cut in parts, and is held only when the last one is confirmed', (t) => {
  const { cache, subscription } = setup(10, 1000);
  subscription.take(request());
  const seen: string[] = [];
  for (;;) {
    t.is(subscription.ackedSequence, -1);
    const response = subscription.next();
    if (response === null) return t.fail();
    t.true(response.resources.length < 10);
    seen.push(...response.resources.map(({ name }) => name));
    t.is(subscription.next(), null);
    t.is(response.systemVersionInfo.endsWith('+'), seen.length < 10);
    subscription.take(request({ responseNonce: response.nonce }));
    if (seen.length === 10) break;
  }
  t.is(subscription.ackedSequence, cache.sequence);
  t.is(new Set(seen).size, 10);
});

test('a resource that is larger than a part is sent alone', (t) => {
  const { subscription } = setup(2, 1);
  subscription.take(request());
  t.is(subscription.next()?.resources.length, 1);
});

test('a change of another type moves the held version on without a word', (t) => {
  const { index, cache, subscription } = setup(1, 10_000);
  subscription.take(request());
  const response = subscription.next();
  subscription.take(request({ responseNonce: response?.nonce ?? '' }));
  index.apply(policy('p'));
  cache.update(index.commit());
  t.is(subscription.next(), null);
  t.is(subscription.ackedSequence, cache.sequence);
});

test('what changes between a response and its refusal is sent', (t) => {
  const { index, cache, subscription } = setup(1, 10_000);
  subscription.take(request());
  const first = subscription.next();
  index.apply(pod('p0', { address: '10.0.0.99' }));
  cache.update(index.commit());
  subscription.take(request({ responseNonce: first?.nonce ?? '', errorDetail: { code: 3, message: 'no' } }));
  const name = 'Kubernetes//Pod/shop/p0';
  t.false(subscription.holds(name));
  const second = subscription.next();
  t.deepEqual(
    second?.resources.map((resource) => resource.name),
    [name],
  );
  subscription.take(request({ responseNonce: second?.nonce ?? '' }));
  t.true(subscription.holds(name));
});
