import { connect, type Socket } from 'node:net';

/** An agent of the same instance that still runs, reached by its admin socket before ours takes the path over. */
export class Predecessor {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Null when nobody answers at the path. */
  static find(path: string): Promise<Predecessor | null> {
    return new Promise((resolve) => {
      const socket = connect(path);
      socket.once('error', () => resolve(null));
      socket.once('connect', () => {
        socket.removeAllListeners('error');
        // It may go at any time; then there is nothing left to hand over.
        socket.on('error', () => {});
        socket.unref();
        resolve(new Predecessor(socket));
      });
    });
  }

  /** Asks it to let its connections end and to go. Resolves when it has agreed, or has gone. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.ref();
      this.#socket.once('data', () => resolve());
      this.#socket.once('close', () => resolve());
      this.#socket.end('POST /drain HTTP/1.1\r\nhost: agent\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      this.#socket.setTimeout(2_000, () => this.#socket.destroy());
    });
  }
}
