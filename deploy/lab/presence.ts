/** Whether a lab is there and answers. */
import { existsSync } from 'node:fs';
import { LabError } from './errors.ts';
import { callJson } from './http.ts';
import type { LabPaths } from './names.ts';
import { requireRoot } from './preflight.ts';

const TIMEOUT_MS = 3_000;

/** Its supervisor answers. */
export async function isUp(paths: LabPaths): Promise<boolean> {
  try {
    return (await callJson(paths.socket, '/settled', { timeoutMs: TIMEOUT_MS })).status === 200;
  } catch {
    return false;
  }
}

/** Throws `LAB_NOT_UP` or `LAB_NO_ROOT`. */
export async function requireUp(paths: LabPaths): Promise<void> {
  requireRoot();
  if (await isUp(paths)) return;
  const half = existsSync(paths.root);
  throw new LabError(
    'LAB_NOT_UP',
    half ? `lab "${paths.name}" is dead: its supervisor does not answer` : `no lab named "${paths.name}" is up`,
    {
      hint: half
        ? `aquifer lab down --name ${paths.name}`
        : 'aquifer lab up, or choose another with --name; see aquifer lab list',
    },
  );
}
