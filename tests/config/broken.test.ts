import { expect, test } from 'bun:test'
import { complaints, loadText } from '#tests/support/config-texts.ts'

/** A broken file, and everything that is said about it. */
type Broken = readonly [text: string, ...said: string[]]

const ask = '${' // eslint-free way to write a reference in a plain string

const syntax: Broken[] = [
  ['service:\n\tport: 1', 'gateway.yaml:2:1  tabs cannot indent; use spaces'],
  ['service:\n    port: 1\n  host: a', 'gateway.yaml:3:1  is indented unlike its neighbours'],
  ['service: { port: 1\ngateway: {}', 'gateway.yaml:2:1  lacks a closing quote, bracket, comma or colon'],
]
