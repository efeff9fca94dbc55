import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { ownFolder, type ServerProcess, serverProcess } from './server-process.ts'

/** A real nginx with one site. */
export interface Nginx extends ServerProcess {
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts Debian's nginx in a folder of its own, with a site as it stands in `sites-enabled`.
 *
 * @param port Where the site listens, to know when it does.
 * @throws Error with the command that installs it when it is missing. */
export async function startNginx(site: string, port: number): Promise<Nginx> {
  const folder = await ownFolder('citadel-nginx-')
  const at = (name: string) => join(folder.path, name)
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${at(name)};`)
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  await writeFile(at('site.conf'), site)
  await writeFile(
    at('nginx.conf'),
    `${user} daemon off; worker_processes 1; pid ${at('pid')}; error_log ${at('error.log')};
events { worker_connections 512; }
http { access_log off; ${places.join(' ')} include ${at('site.conf')}; }`,
  )
  const server = serverProcess({
    command: [nginxProgram(), '-c', at('nginx.conf'), '-p', folder.path],
    stopSignal: 'SIGTERM',
    ready: () => listens(port),
  })
  await server.start()
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server.stop()
      await folder.remove()
    },
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function nginxProgram(): string {
  const path = '/usr/sbin/nginx'
  if (existsSync(path)) return path
  throw new Error(`No nginx at ${path}. Install the package nginx (sudo apt-get install nginx).`)
}
