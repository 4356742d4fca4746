/** A container's environment and command line, as a kubelet makes them. */
import type { Container, EnvVar, Pod } from '../cluster/objects.ts';
import { namespaceOf } from '../cluster/objects.ts';
import { SYSTEM_PATH } from '../tools.ts';

export interface PodFacts {
  podIps: readonly string[];
  hostIp: string;
}

/** Throws when a variable asks for what the lab cannot give: a silent gap would be worse. */
export function environmentOf(container: Container, pod: Pod, facts: PodFacts): Record<string, string> {
  const env: Record<string, string> = {
    PATH: SYSTEM_PATH,
    HOME: '/root',
    HOSTNAME: pod.spec.hostname ?? pod.metadata.name,
  };
  for (const variable of container.env ?? []) env[variable.name] = variableValue(variable, env, pod, facts);
  return env;
}

function variableValue(variable: EnvVar, env: Record<string, string>, pod: Pod, facts: PodFacts): string {
  if (variable.valueFrom === undefined) return expand(variable.value ?? '', env);
  const path = variable.valueFrom.fieldRef?.fieldPath;
  if (path === undefined) throw new Error(`env ${variable.name}: only valueFrom.fieldRef works in the lab`);
  const value = fieldOf(path, pod, facts);
  if (value === null) throw new Error(`env ${variable.name}: fieldPath "${path}" is not known`);
  return value;
}

function fieldOf(path: string, pod: Pod, facts: PodFacts): string | null {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed !== null) return pod.metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2] ?? ''] ?? '';
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return namespaceOf(pod);
    case 'metadata.uid':
      return pod.metadata.uid ?? '';
    case 'spec.nodeName':
      return pod.spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? 'default';
    case 'status.podIP':
      return facts.podIps[0] ?? '';
    case 'status.podIPs':
      return facts.podIps.join(',');
    case 'status.hostIP':
      return facts.hostIp;
    default:
      return null;
  }
}

/** `$(NAME)` of a variable set before; `$$(NAME)` stays as it is, as do unknown names. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\$?)\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g, (all, escaped: string, name: string) =>
    escaped === '$' ? all.slice(1) : (env[name] ?? all),
  );
}

/** Image name to the words of a host command. */
export type ImageMap = ReadonlyMap<string, readonly string[]>;

/** The words to run, or what is missing. */
export function commandOf(
  container: Container,
  images: ImageMap,
  env: Record<string, string>,
): string[] | { fault: string } {
  const args = (container.args ?? []).map((arg) => expand(arg, env));
  if (container.command !== undefined && container.command.length > 0) {
    return [...container.command.map((word) => expand(word, env)), ...args];
  }
  const mapped = lookUp(container.image ?? '', images);
  if (mapped !== null) return [...mapped, ...args];
  const known = [...images.keys()].join(', ');
  return {
    fault: `image "${container.image ?? ''}" names no program of this host; give the container a command, or start the lab with --image ${withoutTag(container.image ?? 'NAME')}=COMMAND (known: ${known})`,
  };
}

/** With its tag first, then without, then without the registry. */
function lookUp(image: string, images: ImageMap): readonly string[] | null {
  const plain = withoutTag(image);
  return images.get(image) ?? images.get(plain) ?? images.get(plain.split('/').at(-1) ?? plain) ?? null;
}

function withoutTag(image: string): string {
  const [name = image] = image.split('@');
  return name.replace(/:[^/:]*$/, '');
}
