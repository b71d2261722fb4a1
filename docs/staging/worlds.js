// Starts a world for each worker of Jest, on a port of its own. They end with Jest.
const { spawn } = require('child_process');
const { once } = require('events');
const path = require('path');
const { createInterface } = require('readline');

async function start() {
  const program = process.env.NUMBERBANK ?? 'numberbank';
  const seed = path.join(__dirname, 'seed.json');
  const stdio = ['ignore', 'pipe', 'inherit'];
  const world = spawn(program, ['staging', '--bind', '127.0.0.1:0', '--seed', seed], { stdio });
  process.on('exit', () => world.kill());
  const [line] = await Promise.race([once(createInterface(world.stdout), 'line'), once(world, 'exit')]);
  const site = /^listening on (.*)/.exec(line)?.[1];
  if (!site) throw new Error('the world did not start');
  // So that Jest waits for nothing.
  world.stdout.destroy();
  world.unref();
  return site;
}

module.exports = async ({ maxWorkers }) => {
  const sites = await Promise.all(Array.from({ length: maxWorkers }, start));
  process.env.WORLDS = sites.join(' ');
};
