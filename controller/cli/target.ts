import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Arguments } from './arguments.ts';
import type { Context } from './context.ts';
import { CliError, codeOf, usageError } from './errors.ts';
import type { Peer } from './http.ts';

/** The mesh that a verb works on. */
export interface Target {
  lab: string;
  controller: Peer;
  /** The agents' admin sockets, by node, sorted. */
  agents: readonly (Peer & { node: string })[];
}

/** The lab of `--lab`, else of AQUIFER_LAB, else the one named `lab`. Throws when it is not up. */
export function findTarget(args: Arguments, context: Context): Target {
  const lab = args.text('lab') ?? context.defaultLab;
  if (!/^[a-z0-9][a-z0-9-]*$/.test(lab)) {
    throw usageError(`--lab: "${lab}" is not a name of a lab`, 'names are lower-case letters, digits and hyphens');
  }
  const directory = join(context.runDirectory, lab);
  if (!existsSync(directory)) throw notUp(lab, context.runDirectory);
  return {
    lab,
    controller: { name: 'the controller', socketPath: join(directory, 'controller/controller.sock') },
    agents: entries(join(directory, 'nodes')).map((node) => ({
      node,
      name: `the agent of ${node}`,
      socketPath: join(directory, 'nodes', node, 'agent.sock'),
    })),
  };
}

function notUp(lab: string, runDirectory: string): CliError {
  const others = entries(runDirectory);
  const hint = others.length > 0 ? `up are ${others.join(', ')}; choose with --lab NAME` : 'start one: make lab';
  return new CliError(`no lab named "${lab}" is up`, { hint });
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return [];
    if (codeOf(cause) === 'EACCES')
      throw new CliError(`${directory}: permission denied`, { hint: 'run as root', cause });
    throw cause;
  }
}
