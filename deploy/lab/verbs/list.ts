import { readdirSync } from 'node:fs';
import { parse } from '../arguments.ts';
import { LabPaths, STATE_ROOT } from '../names.ts';
import { isUp } from '../presence.ts';
import { readRecord } from '../record.ts';
import { table } from '../ui/style.ts';

/** `lab list` */
export async function list(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  parse('list', args, {}, env);
  const rows: string[][] = [];
  for (const name of labNames()) {
    const paths = new LabPaths(name);
    const record = readRecord(paths);
    const state = (await isUp(paths)) ? 'up' : 'dead (aquifer lab down removes it)';
    rows.push([name, state, String(record?.options.nodes ?? '?'), record?.createdAt ?? '?']);
  }
  if (rows.length === 0) process.stdout.write('no lab is up; start one with: aquifer lab up\n');
  else
    process.stdout.write(
      `${table([{ title: 'NAME' }, { title: 'STATE' }, { title: 'NODES', right: true }, { title: 'SINCE' }], rows, 200).join('\n')}\n`,
    );
  return 0;
}

function labNames(): string[] {
  try {
    return readdirSync(STATE_ROOT).filter((name) => !name.startsWith('.'));
  } catch {
    return [];
  }
}
