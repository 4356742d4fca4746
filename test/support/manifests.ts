/** Small builders for lab manifests, so that a test shows only what it is about. */
import { join } from 'node:path';
import { stringify } from 'yaml';
import { PROGRAMS } from './lab.ts';

export type Manifest = Record<string, unknown>;

export function yaml(...documents: Manifest[]): string {
  return documents.map((document) => stringify(document)).join('---\n');
}

export function namespace(name: string, labels: Record<string, string> = {}): Manifest {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

export function ambient(name: string): Manifest {
  return namespace(name, { 'aquifer.dev/dataplane-mode': 'ambient' });
}

export interface PodOptions {
  node?: string;
  serviceAccount?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  command?: string[];
  ports?: { name?: string; containerPort: number }[];
  /** Merged into the one container: probes, securityContext, env, … */
  container?: Manifest;
  /** Merged into the spec. */
  spec?: Manifest;
}

function podSpec(options: PodOptions): Manifest {
  return {
    ...(options.node === undefined ? {} : { nodeName: options.node }),
    ...(options.serviceAccount === undefined ? {} : { serviceAccountName: options.serviceAccount }),
    terminationGracePeriodSeconds: 2,
    containers: [
      {
        name: 'main',
        image: 'host',
        command: options.command ?? ['sleep', 'infinity'],
        ...(options.ports === undefined ? {} : { ports: options.ports }),
        ...options.container,
      },
    ],
    ...options.spec,
  };
}

/** `app: <name>` is always among the labels. Without a command it sleeps: a place to `exec` in. */
export function pod(inNamespace: string, name: string, options: PodOptions = {}): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace: inNamespace,
      name,
      labels: { app: name, ...options.labels },
      ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
    },
    spec: podSpec(options),
  };
}

export function deployment(inNamespace: string, name: string, replicas: number, options: PodOptions = {}): Manifest {
  const labels = { app: name, ...options.labels };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: inNamespace, name },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels }, spec: podSpec(options) },
    },
  };
}

export interface ServicePortOptions {
  name?: string;
  port: number;
  targetPort?: number | string;
}

/** Selects `app: <name>`; `spec` is merged in. */
export function service(inNamespace: string, name: string, ports: ServicePortOptions[], spec: Manifest = {}): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: inNamespace, name },
    spec: { selector: { app: name }, ports, ...spec },
  };
}

export function serviceAccount(inNamespace: string, name: string): Manifest {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: inNamespace, name } };
}

export function l4Policy(inNamespace: string, name: string, spec: Manifest): Manifest {
  return { apiVersion: 'aquifer.dev/v1alpha1', kind: 'L4Policy', metadata: { namespace: inNamespace, name }, spec };
}

/** The command line of a program in test/e2e/programs, under this Node. */
export function program(name: string, ...args: (string | number)[]): string[] {
  return [process.execPath, join(PROGRAMS, `${name}.ts`), ...args.map(String)];
}

/** An echo server that is ready as soon as it listens. */
export function echo(port: number, name?: string): PodOptions {
  return {
    command: program('echo', port, ...(name === undefined ? [] : [name])),
    ports: [{ containerPort: port }],
    container: { readinessProbe: { tcpSocket: { port }, periodSeconds: 1 } },
  };
}
