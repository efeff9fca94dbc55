import { expect, test } from 'bun:test'
import { parseEnvFile } from '#config/env-file.ts'
import { complaints } from '#tests/support/config-texts.ts'

test('reads names and values with comments, quotes and export', () => {
  const text = `\uFEFF# a comment

A=1
export B = two words # a comment
C='single # $A "'
D="double \\"quoted\\" \\\\ and\\nlines" # a comment
E=
F=http://host/#fragment\r
  G=x=y=z
`
  expect(parseEnvFile(text)).toEqual({
    A: '1',
    B: 'two words',
    C: 'single # $A "',
    D: 'double "quoted" \\ and\nlines',
    E: '',
    F: 'http://host/#fragment',
    G: 'x=y=z',
  })
})

test('leaves a backslash in double quotes that begins no escape', () => {
  expect(parseEnvFile('A="DOMAIN\\user"\nB="^\\d+\\$"')).toEqual({ A: 'DOMAIN\\user', B: '^\\d+$' })
})

test('takes for a comment only what stands behind a blank, so that a password may begin with its sign', () => {
  expect(parseEnvFile('A=#pass\nB=#pass # word\nC= # none\nD=\t#none\nE=b   # comment')).toEqual({
    ...{ A: '#pass', B: '#pass', C: '', D: '', E: 'b' },
  })
})

test('lets the last of two lines with one name win', () => {
  expect(parseEnvFile('A=1\nA=2')).toEqual({ A: '2' })
})

test('names every line that is none, and never shows it', async () => {
  const parse = async () =>
    parseEnvFile('A=1\ncanary\nB="canary\n9=canary\nC=\ufffdcanary # \ufffd\nD=1 # \ufffd', 'site.env')

  expect(await complaints(parse())).toEqual([
    'site.env:2:1  expected NAME=value',
    'site.env:3:1  a quote is not closed, or something stands behind it',
    'site.env:4:1  expected NAME=value',
    'site.env:5:1  is not in UTF-8',
  ])
})
