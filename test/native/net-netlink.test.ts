/** FIB rules, local routes and addresses. */
import test from 'ava';
import type { LocalRoute, Rule } from '../../native/index.ts';
import { failure, ip, native, scratchNetns } from './support/net.ts';

const families = [4, 6] as const;
const capture: Omit<Rule, 'family'> = { mark: 0x41510001, mask: 0xffffffff, table: 1001, priority: 90 };

test('rules are added, listed and deleted in both families', (t) => {
  const netns = scratchNetns(t);
  t.deepEqual(native.listRules(netns), []);
  const rules = families.map((family): Rule => ({ family, ...capture }));
  for (const rule of rules) native.addRule(netns, rule);
  t.deepEqual(native.listRules(netns), rules);
  t.deepEqual(native.listRules(scratchNetns(t)), []);
  for (const rule of rules) {
    t.true(native.deleteRule(netns, rule));
    t.false(native.deleteRule(netns, rule));
  }
  t.deepEqual(native.listRules(netns), []);
});

test('a rule is deleted only if all of it agrees', (t) => {
  const netns = scratchNetns(t);
  const rule: Rule = { family: 4, ...capture };
  native.addRule(netns, rule);
  for (const change of [{ mark: 1 }, { mask: 1 }, { table: 9 }, { priority: 91 }, { family: 6 as const }]) {
    t.false(native.deleteRule(netns, { ...rule, ...change }));
  }
  t.deepEqual(native.listRules(netns), [rule]);
});

test('a rule that is there already is refused', (t) => {
  const netns = scratchNetns(t);
  native.addRule(netns, { family: 4, ...capture });
  const error = failure(() => native.addRule(netns, { family: 4, ...capture }));
  t.like(error, { code: 'EEXIST', syscall: 'netlink(RTM_NEWRULE)' });
});

test('rules that others made by mark are listed, those that match otherwise are not', (t) => {
  const netns = scratchNetns(t);
  ip(netns, 'rule', 'add', 'fwmark', '0x10/0xf0', 'lookup', '77', 'pref', '50');
  ip(netns, 'rule', 'add', 'not', 'fwmark', '0x20', 'lookup', '78', 'pref', '51');
  ip(netns, 'rule', 'add', 'from', '10.0.0.0/8', 'lookup', '79', 'pref', '52');
  t.deepEqual(native.listRules(netns), [{ family: 4, mark: 0x10, mask: 0xf0, table: 77, priority: 50 }]);
});

test('a local route is added, replaced, listed and deleted in both families', (t) => {
  const netns = scratchNetns(t);
  ip(netns, 'addr', 'add', '10.9.8.7/32', 'dev', 'lo');
  ip(netns, 'addr', 'add', 'fd00::7/128', 'dev', 'lo', 'nodad');
  const plain = families.map((family): LocalRoute => ({ family, table: 1001, source: null }));
  const sourced: LocalRoute[] = [
    { family: 4, table: 1001, source: '10.9.8.7' },
    { family: 6, table: 1001, source: 'fd00::7' },
  ];
  for (const route of plain) native.addLocalRoute(netns, route);
  t.deepEqual(native.listLocalRoutes(netns), plain);
  for (const route of sourced) native.addLocalRoute(netns, route);
  t.deepEqual(native.listLocalRoutes(netns), sourced);
  for (const route of sourced) {
    t.true(native.deleteLocalRoute(netns, route));
    t.false(native.deleteLocalRoute(netns, route));
  }
  t.deepEqual(native.listLocalRoutes(netns), []);
});

test('a route in a table below 256 and one far above are told apart', (t) => {
  const netns = scratchNetns(t);
  native.addLocalRoute(netns, { family: 4, table: 100, source: null });
  native.addLocalRoute(netns, { family: 4, table: 0x41510000, source: null });
  t.deepEqual(
    native
      .listLocalRoutes(netns)
      .map((route) => route.table)
      .sort((a, b) => a - b),
    [100, 0x41510000],
  );
  t.false(native.deleteLocalRoute(netns, { family: 4, table: 101, source: null }));
});

test("the kernel's own words are in the message", (t) => {
  const netns = scratchNetns(t);
  const error = failure(() => native.addLocalRoute(netns, { family: 4, table: 100, source: '9.9.9.9' }));
  t.like(error, { code: 'EINVAL', syscall: 'netlink(RTM_NEWROUTE)' });
  t.regex(error.message, /Invalid prefsrc address/);
});

test('arguments that do not fit are refused', (t) => {
  const netns = scratchNetns(t);
  const route = (change: object) => () => native.addLocalRoute(netns, { family: 4, table: 1, source: null, ...change });
  t.is(failure(route({ source: '::1' })).code, 'EINVAL');
  t.is(failure(route({ family: 5 })).code, 'ERR_INVALID_ARG_TYPE');
  t.is(failure(route({ table: -1 })).code, 'ERR_INVALID_ARG_TYPE');
  t.is(failure(() => native.addRule(netns, { family: 4, ...capture, mark: 2 ** 32 })).code, 'ERR_INVALID_ARG_TYPE');
});

test('the rule and the route together deliver a marked connection to any address', async (t) => {
  const netns = scratchNetns(t);
  native.writeSysctl(netns, 'net/ipv4/tcp_fwmark_accept', '1');
  for (const family of families) {
    native.addRule(netns, { family, ...capture });
    native.addLocalRoute(netns, { family, table: capture.table, source: family === 4 ? '127.0.0.1' : '::1' });
  }
  for (const address of ['203.0.113.9', '2001:db8::9']) {
    const { promise, resolve } = Promise.withResolvers<{ local: string; mark: number }>();
    const listener = native.listen(
      { netns, address: '::', port: 0, backlog: 8, transparent: true },
      8,
      (accepted) => {
        native.closeSocket(accepted.fd, true);
        resolve({ local: accepted.local.address, mark: accepted.mark });
      },
      (error) => t.fail(error.message),
    );
    const to = { address, port: listener.port };
    native.connect({ netns, to, from: null, transparent: false, mark: capture.mark, timeoutMs: 2000 }, (error, fd) =>
      error === null ? native.closeSocket(fd, false) : t.fail(error.message),
    );
    t.deepEqual(await promise, { local: address, mark: capture.mark });
    listener.close();
  }
});

test('addresses are listed with the name of their interface', (t) => {
  const netns = scratchNetns(t);
  ip(netns, 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two');
  ip(netns, 'addr', 'add', '10.1.2.3/24', 'dev', 'one');
  ip(netns, 'addr', 'add', 'fd00:1::3/64', 'dev', 'two');
  const found = native.listAddresses(netns).filter((each) => each.interfaceName !== 'lo');
  t.like(found[0], { interfaceName: 'one', family: 4, address: '10.1.2.3', prefixLength: 24 });
  t.like(found[1], { interfaceName: 'two', family: 6, address: 'fd00:1::3', prefixLength: 64 });
});

test('a dump of thousands of addresses is whole', (t) => {
  const netns = scratchNetns(t);
  for (let table = 1; table <= 2000; table++)
    native.addLocalRoute(netns, { family: 4, table: 10_000 + table, source: null });
  t.is(native.listLocalRoutes(netns).length, 2000);
});
