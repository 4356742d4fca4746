import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { channelCredentials } from '../../../../controller/ca/channel.ts';

test('the authority is made once and signs a server certificate at each start', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'aquifer-ca-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const names = { dns: ['aquifer-controller.aquifer-system.svc'], addresses: ['172.30.0.2', 'fd00::2'] };
  const first = await channelCredentials(directory, names);
  const second = await channelCredentials(directory, names);
  t.is(first.caCertificate, second.caCertificate);
  t.not(first.certificate, second.certificate);
  t.is(readFileSync(join(directory, 'ca.pem'), 'utf8'), first.caCertificate);
  t.is(statSync(join(directory, 'ca-key.pem')).mode & 0o777, 0o600);
  const authority = new X509Certificate(second.caCertificate);
  const server = new X509Certificate(second.certificate);
  t.true(authority.ca);
  t.false(server.ca);
  t.true(server.verify(authority.publicKey));
  t.not(server.checkHost('aquifer-controller.aquifer-system.svc'), undefined);
  t.not(server.checkIP('172.30.0.2'), undefined);
  t.true(new Date(server.validTo) > new Date());
});
