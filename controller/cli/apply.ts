import { formatProblem } from '../api/problem.ts';
import { parseArguments } from './arguments.ts';
import type { Context, Verb } from './context.ts';
import { EXIT, usageError } from './errors.ts';
import { callJson } from './http.ts';
import { type Manifests, readManifests } from './manifests.ts';
import { APPLY_REPLY, type AppliedObject, type Finding } from './responses.ts';
import { counted } from './table.ts';
import { findTarget } from './target.ts';

const FILE_OPTIONS = {
  filename: { type: 'string', short: 'f', multiple: true },
  'dry-run': { type: 'boolean' },
} as const;

const FILE_HELP = `Options:
  -f, --filename PATH  a file, a directory (its .yaml, .yml and .json files) or - for the standard input;
                       may be given several times
      --lab NAME       the lab to work on (default: AQUIFER_LAB, else "lab")`;

export const APPLY: Verb = {
  name: 'apply',
  summary: 'create or change objects from YAML or JSON',
  help: `Usage: aquifer apply -f FILE|DIR|- [--dry-run]

Creates or changes objects. All of them are valid and are applied, or none is.

${FILE_HELP}
      --dry-run        validate and tell what would change, but change nothing

Exits 0 when all is applied, 1 when something is invalid or a policy cannot be enforced as it is written.

Examples:
  aquifer apply -f policies/
  aquifer apply -f policy.yaml --dry-run`,
  run: async (args, context) => await send('apply', args, context),
};

export const DELETE: Verb = {
  name: 'delete',
  summary: 'delete the objects that YAML or JSON names',
  help: `Usage: aquifer delete -f FILE|DIR|-

Deletes the objects that the manifests name; what else they say does not matter.

${FILE_HELP}

Exits 0 when none of them is left, also when there was none, and 1 when a manifest cannot be read.

Example:
  aquifer delete -f policy.yaml`,
  run: async (args, context) => await send('delete', args, context),
};

async function send(verb: 'apply' | 'delete', args: readonly string[], context: Context): Promise<number> {
  const options = verb === 'apply' ? FILE_OPTIONS : { filename: FILE_OPTIONS.filename };
  const parsed = parseArguments(verb, args, options);
  if (parsed === null) {
    context.out(`${(verb === 'apply' ? APPLY : DELETE).help}\n`);
    return EXIT.ok;
  }
  const stray = parsed.positionals[0];
  if (stray !== undefined)
    throw usageError(`${verb}: what is "${stray}"?`, `files are named with -f: aquifer ${verb} -f ${stray}`);
  const paths = parsed.all('filename');
  if (paths.length === 0) throw usageError(`${verb}: no file is named`, `aquifer ${verb} -f FILE|DIR|-`);
  const target = findTarget(parsed, context);
  const manifests = await readManifests(paths, context.readInput);
  const dryRun = parsed.flag('dry-run');
  const path =
    verb === 'delete' ? '/v1/delete?layer=applied' : `/v1/apply?layer=applied${dryRun ? '&dryRun=true' : ''}`;
  const reply = await callJson(target.controller, path, APPLY_REPLY, {
    method: 'POST',
    body: manifests.text,
    accept: [200, 422],
  });
  return report(reply.body.results, manifests, { refused: reply.status === 422, dryRun }, context);
}

interface Outcome {
  refused: boolean;
  dryRun: boolean;
}

function report(results: readonly AppliedObject[], manifests: Manifests, outcome: Outcome, context: Context): number {
  const { palette } = context;
  const suffix = outcome.dryRun ? ' (dry run)' : '';
  const faulty = results.filter((result) => result.errors.length > 0);
  for (const result of results) {
    if (!outcome.refused) context.out(`${titleOf(result)} ${result.result}${suffix}\n`);
    for (const finding of result.warnings) context.err(`${palette.warn('warning:')} ${textOf(finding, manifests)}\n`);
    for (const finding of result.errors) context.err(`${palette.bad('error:')} ${textOf(finding, manifests)}\n`);
  }
  if (outcome.refused) {
    context.err(`nothing was changed: ${faulty.length} of ${counted(results.length, 'object')} cannot be accepted\n`);
  } else if (results.length === 0) {
    context.err('nothing was changed: the manifests hold no object\n');
  }
  return outcome.refused || faulty.length > 0 || results.length === 0 ? EXIT.failed : EXIT.ok;
}

function titleOf({ kind, namespace, name }: AppliedObject): string {
  return `${kind} ${namespace === undefined || namespace === null || namespace === '' ? '' : `${namespace}/`}${name}`;
}

function textOf(finding: Finding, manifests: Manifests): string {
  const { file, line } = manifests.locate(finding.line ?? 1);
  const { field, reason, hint } = finding;
  return formatProblem({ file, line, field: field ?? '', reason, ...(typeof hint === 'string' ? { hint } : {}) });
}
