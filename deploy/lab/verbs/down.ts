import { parse } from '../arguments.ts';
import { clean } from '../clean.ts';
import { requireRoot } from '../preflight.ts';
import { duration } from '../ui/style.ts';

/** `lab down` */
export async function down(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { paths } = parse('down', args, {}, env);
  requireRoot();
  const began = performance.now();
  const cleaned = await clean(paths);
  const time = duration(performance.now() - began);
  process.stdout.write(
    cleaned.found
      ? `lab "${paths.name}" is down, nothing of it is left (${time})\n`
      : `there is no lab "${paths.name}"\n`,
  );
  return 0;
}
