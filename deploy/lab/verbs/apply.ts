import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parse, usage } from '../arguments.ts';
import { requireUp } from '../presence.ts';

const CLI = join(import.meta.dirname, '../../../controller/cli/main.ts');

/** `lab apply` and `lab delete`: the same command as on a cluster, with this lab as its target. */
export async function apply(verb: 'apply' | 'delete', args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const options = { filename: { type: 'string', short: 'f', multiple: true }, 'dry-run': { type: 'boolean' } } as const;
  const parsed = parse(verb, args, options, env);
  const files = Array.isArray(parsed.values.filename) ? parsed.values.filename : [];
  if (files.length === 0) throw usage(`lab ${verb}: which manifests? -f FILE, -f DIR or -f -`);
  await requireUp(parsed.paths);
  const passed = [
    ...files.flatMap((file) => ['-f', file]),
    ...(parsed.values['dry-run'] === true ? ['--dry-run'] : []),
  ];
  const child = spawn(process.execPath, [CLI, verb, '--lab', parsed.paths.name, ...passed], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
