import { expect, test } from 'bun:test'
import { configFrom } from '#config/load.ts'
import { databasePlace } from '#config/places.ts'

const HOME = { HOME: '/home/ada' }

test.each<[string, Readonly<Record<string, string>>, string | null]>([
  ['the folder of the user', HOME, '/home/ada/.local/share/citadel/citadel.db'],
  ['the folder for data', { ...HOME, XDG_DATA_HOME: '/data' }, '/data/citadel/citadel.db'],
  ['systemd', { ...HOME, XDG_DATA_HOME: '/data', STATE_DIRECTORY: '/var/lib/citadel' }, '/var/lib/citadel/citadel.db'],
  ['the first folder of systemd', { STATE_DIRECTORY: '/var/lib/a:/var/lib/b' }, '/var/lib/a/citadel.db'],
  ['empty variables', { HOME: '', XDG_DATA_HOME: '', STATE_DIRECTORY: '' }, null],
  ['nobody', {}, null],
])('the file is where %s says', (_, env, file) => {
  expect(databasePlace(configFrom(), env)).toEqual({ kind: 'sqlite', file })
})

test('the configuration says it before all others', () => {
  const config = configFrom({ service: { data_dir: '/srv/citadel' } })

  expect(databasePlace(config, { ...HOME, STATE_DIRECTORY: '/var/lib/citadel' })).toEqual({
    kind: 'sqlite',
    file: '/srv/citadel/citadel.db',
  })
})

test.each<[string, ReturnType<typeof databasePlace>]>([
  ['sqlite:', { kind: 'sqlite', file: '/home/ada/.local/share/citadel/citadel.db' }],
  ['sqlite://', { kind: 'sqlite', file: '/home/ada/.local/share/citadel/citadel.db' }],
  ['sqlite://keys.db', { kind: 'sqlite', file: 'keys.db' }],
  ['sqlite:///srv/keys.db', { kind: 'sqlite', file: '/srv/keys.db' }],
  ['sqlite:/srv/keys.db', { kind: 'sqlite', file: '/srv/keys.db' }],
  ['sqlite::memory:', { kind: 'sqlite', file: null }],
  ['sqlite://:memory:', { kind: 'sqlite', file: null }],
  ['postgres://u:p@h/d', { kind: 'postgres', url: 'postgres://u:p@h/d' }],
  ['postgresql://h/d', { kind: 'postgres', url: 'postgresql://h/d' }],
])('%s names its place', (url, place) => {
  expect(databasePlace(configFrom({ database: { url } }), HOME)).toEqual(place)
})
