// @peculiar/x509 resolves its parts by decorators and needs this before it.
import 'reflect-metadata';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
/** The authority outlives installations; the server certificate is made anew at each start. */
const AUTHORITY_DAYS = 3650;
const SERVER_DAYS = 365;

/** Keys and certificates of the gRPC channel, PEM. */
export interface ChannelCredentials {
  caCertificate: string;
  certificate: string;
  privateKey: string;
}

interface Authority {
  certificate: x509.X509Certificate;
  key: CryptoKey;
}

/**
 * The server certificate of the channel, signed by the controller's own authority. The authority is made once in
 * `stateDir`: `ca.pem`, the trust bundle that agents get, and `ca-key.pem` (0600).
 */
export async function channelCredentials(
  stateDir: string,
  names: { dns: readonly string[]; addresses: readonly string[] },
): Promise<ChannelCredentials> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  x509.cryptoProvider.set(crypto as unknown as Crypto);
  const authority = await loadAuthority(stateDir);
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: 'O=Aquifer, CN=aquifer-controller',
    issuer: authority.certificate.subject,
    ...validity(SERVER_DAYS),
    publicKey: keys.publicKey,
    signingKey: authority.key,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        ...names.dns.map((value) => ({ type: 'dns' as const, value })),
        ...names.addresses.map((value) => ({ type: 'ip' as const, value })),
      ]),
    ],
  });
  return {
    caCertificate: authority.certificate.toString('pem'),
    certificate: certificate.toString('pem'),
    privateKey: await privatePem(keys.privateKey),
  };
}

async function loadAuthority(stateDir: string): Promise<Authority> {
  const certificateFile = join(stateDir, 'ca.pem');
  const keyFile = join(stateDir, 'ca-key.pem');
  if (existsSync(certificateFile) && existsSync(keyFile)) {
    const certificate = new x509.X509Certificate(readFileSync(certificateFile, 'utf8'));
    const pkcs8 = x509.PemConverter.decodeFirst(readFileSync(keyFile, 'utf8'));
    const key = await crypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']);
    return { certificate, key };
  }
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: 'O=Aquifer, CN=Aquifer channel authority',
    ...validity(AUTHORITY_DAYS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  // The key first: with only the certificate there, a restart would make a new authority that nobody trusts.
  writeFileSync(keyFile, await privatePem(keys.privateKey), { mode: 0o600 });
  writeFileSync(certificateFile, certificate.toString('pem'), { mode: 0o644 });
  return { certificate, key: keys.privateKey };
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  // An hour back, for clocks that differ.
  return { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + days * DAY_MS) };
}

function serial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  // Positive (RFC 5280 §4.1.2.2).
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

async function privatePem(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}
