/** The stages of `lab up` as they go: a line each, with something moving while it takes time. */
import type { ProgressEvent, Stage } from '../supervisor/progress.ts';
import { duration, paint, type Style, shorten } from './style.ts';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 80;
/** Without a terminal a line says now and then that it goes on. */
const PLAIN_BEAT_MS = 2_000;

const TITLES: Record<Stage | 'checks', string> = {
  checks: 'This machine',
  network: 'Network',
  controller: 'Controller',
  nodes: 'Nodes',
  agents: 'Agents',
  manifests: 'Manifests',
  pods: 'Pods',
};

export class StageView {
  readonly #style: Style;
  readonly #write: (text: string) => void;
  #title = '';
  #detail = '';
  #frame = 0;
  #began = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(style: Style, write: (text: string) => void) {
    this.#style = style;
    this.#write = write;
  }

  on(event: ProgressEvent): void {
    if (!('stage' in event)) return;
    if (event.state === 'start') this.start(event.stage);
    else if (event.state === 'detail') this.#detail = event.detail;
    else this.done(event.detail, event.ms, event.warnings);
  }

  start(stage: Stage | 'checks'): void {
    this.#title = TITLES[stage];
    this.#detail = '';
    this.#began = performance.now();
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), this.#style.tty ? FRAME_MS : PLAIN_BEAT_MS);
  }

  done(detail: string, ms: number, warnings: readonly string[] = []): void {
    this.#stop();
    const mark = warnings.length === 0 ? paint(this.#style, 'green', '✓') : paint(this.#style, 'yellow', '!');
    const time = paint(this.#style, 'dim', duration(ms));
    this.#write(`${mark} ${paint(this.#style, 'bold', this.#title.padEnd(13))} ${detail}  ${time}\n`);
    for (const warning of warnings) this.#write(`  ${paint(this.#style, 'yellow', '└')} ${warning}\n`);
  }

  failed(message: string, hint: string | null): void {
    this.#stop();
    this.#write(`${paint(this.#style, 'red', '✗')} ${paint(this.#style, 'bold', this.#title.padEnd(13))} ${message}\n`);
    if (hint !== null) this.#write(`  ${paint(this.#style, 'yellow', '→')} ${hint}\n`);
  }

  #draw(): void {
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(1);
    if (!this.#style.tty) {
      if (this.#timer !== null) this.#write(`  … ${this.#title}: ${this.#detail || 'working'} (${seconds} s)\n`);
      return;
    }
    const frame = FRAMES[this.#frame++ % FRAMES.length] ?? '';
    const text = shorten(`${this.#title.padEnd(13)} ${this.#detail}`, this.#style.width - 12);
    this.#write(`\r\u001b[2K${paint(this.#style, 'cyan', frame)} ${text} ${paint(this.#style, 'dim', `${seconds} s`)}`);
  }

  #stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    if (this.#style.tty) this.#write('\r\u001b[2K');
  }
}
