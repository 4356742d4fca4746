/** Connects, reads the greeting, resets: `reset-client.ts HOST PORT`. */
import { connect } from 'node:net';

const [host = '', port = '0'] = process.argv.slice(2);
const socket = connect({ host, port: Number(port) });
socket.on('data', () => socket.resetAndDestroy());
