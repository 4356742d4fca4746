/** `warning`: the agent runs, but something on the machine changes what it can promise. */
export type Outcome = 'ok' | 'failed' | 'warning';

/** One thing that was tried. */
export interface ReportLine {
  name: string;
  outcome: Outcome;
  /** What was seen, or why it failed. */
  detail: string;
  /** The likely fix; empty when there is nothing to mend. */
  fix: string;
}

/** What the self-test found, in the order in which it looked. */
export class Report {
  readonly lines: ReportLine[] = [];

  ok(name: string, detail = ''): void {
    this.lines.push({ name, outcome: 'ok', detail, fix: '' });
  }

  failed(name: string, why: string, fix: string): void {
    this.lines.push({ name, outcome: 'failed', detail: why, fix });
  }

  warning(name: string, detail: string, fix: string): void {
    this.lines.push({ name, outcome: 'warning', detail, fix });
  }

  get passed(): boolean {
    return this.lines.every(({ outcome }) => outcome !== 'failed');
  }

  toJson(): string {
    return `${JSON.stringify({ ok: this.passed, lines: this.lines }, null, 2)}\n`;
  }

  toText(): string {
    const label: Record<Outcome, string> = { ok: '  ok  ', failed: 'FAILED', warning: ' warn ' };
    const lines = this.lines.map(({ name, outcome, detail, fix }) => {
      const parts = [`${label[outcome]}  ${name}`];
      if (detail !== '') parts.push(outcome === 'ok' ? `: ${detail}` : `\n        why: ${detail}`);
      if (fix !== '') parts.push(`\n        fix: ${fix}`);
      return parts.join('');
    });
    const failures = this.lines.filter(({ outcome }) => outcome === 'failed').length;
    const verdict =
      failures === 0 ? 'this machine can run an agent' : `this machine cannot run an agent: ${failures} failed`;
    return `${lines.join('\n')}\n\n${verdict}\n`;
  }
}
