import { suggestion } from './arguments.ts';
import type { Context, Verb } from './context.ts';
import { CliError, EXIT, usageError } from './errors.ts';

/** Runs `verbs[args[0]]`, prints what it throws, and gives the exit code. */
export async function runCommand(args: readonly string[], verbs: readonly Verb[], context: Context): Promise<number> {
  try {
    return await dispatch(args, verbs, context);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    context.err(`${context.palette.bad('aquifer:')} ${error.message}\n`);
    if (error.hint !== null) context.err(`  ${error.hint}\n`);
    return error.exitCode;
  }
}

async function dispatch(args: readonly string[], verbs: readonly Verb[], context: Context): Promise<number> {
  const [word, ...rest] = args;
  if (word === undefined) {
    context.err(overview(verbs));
    return EXIT.usage;
  }
  if (word === 'help' || word === '--help' || word === '-h') return help(rest[0], verbs, context);
  const name = word === '--version' ? 'version' : word;
  return await find(name, verbs).run(rest, context);
}

async function help(word: string | undefined, verbs: readonly Verb[], context: Context): Promise<number> {
  if (word === undefined) {
    context.out(overview(verbs));
    return EXIT.ok;
  }
  const verb = find(word, verbs);
  // The lab has verbs of its own, and tells about them itself.
  if (verb.name === 'lab') return await verb.run(['help'], context);
  context.out(`${verb.help}\n`);
  return EXIT.ok;
}

function find(word: string, verbs: readonly Verb[]): Verb {
  const verb = verbs.find((candidate) => candidate.name === word);
  if (verb !== undefined) return verb;
  const names = [...verbs.map((candidate) => candidate.name), 'help'];
  throw usageError(`"${word}" is not a verb of aquifer`, suggestion(word, names));
}

function overview(verbs: readonly Verb[]): string {
  const width = Math.max(...verbs.map(({ name }) => name.length));
  const lines = verbs.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: aquifer VERB [ARGUMENTS]

${lines.join('\n')}
  ${'help'.padEnd(width)}  this list, or all about one verb: aquifer help VERB

Exit codes: 0 done; 1 failed, invalid or not found; 2 the command line is wrong.
Environment: AQUIFER_LAB names the lab (default "lab"); NO_COLOR switches colours off.
`;
}
