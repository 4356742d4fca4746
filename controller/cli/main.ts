#!/usr/bin/env node
import { APPLY, DELETE } from './apply.ts';
import { CHECK } from './check.ts';
import { runCommand } from './command.ts';
import type { Context, Verb } from './context.ts';
import { EXPLAIN } from './explain.ts';
import { GET } from './get.ts';
import { OBSERVE } from './observe.ts';
import { COLOURED, PLAIN } from './palette.ts';
import { VERSION } from './version.ts';

const LAB: Verb = {
  name: 'lab',
  summary: 'a mesh on this machine: up, status, exec, apply, delete, logs, restart, down',
  help: '',
  run: async (args) => {
    // Loaded on demand: the other verbs work where there is no lab.
    const { runLab } = await import('../../deploy/lab/cli.ts');
    return await runLab([...args]);
  },
};

async function readInput(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
  return text;
}

function context(signal: AbortSignal): Context {
  const coloured = process.stdout.isTTY && (process.env.NO_COLOR ?? '') === '' && process.env.TERM !== 'dumb';
  return {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    readInput,
    palette: coloured ? COLOURED : PLAIN,
    runDirectory: '/run/aquifer',
    defaultLab: process.env.AQUIFER_LAB || 'lab',
    signal,
  };
}

const args = process.argv.slice(2);
const stop = new AbortController();
// The lab handles its own Ctrl-C; here it ends the streams that are followed, which is no error.
if (args[0] === 'observe') process.once('SIGINT', () => stop.abort());
// `aquifer get … | head` closes the pipe early, which is no error either.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const verbs: readonly Verb[] = [LAB, APPLY, DELETE, GET, EXPLAIN, OBSERVE, CHECK, VERSION];
process.exitCode = await runCommand(args, verbs, context(stop.signal));
