import { optionsTaken } from './option-help.ts'
import { type Command, EXIT, fail, print } from './output.ts'

type Commands = Readonly<Record<string, Command>>

/** The scripts for the shells, to be read with `source <(citadel completion SHELL)` or in the shell's own way. */
const SHELLS: Readonly<Record<string, (commands: Commands) => string>> = { bash, zsh, fish }

/** Prints the script that completes the commands and their options in a shell. */
export async function completion(args: readonly string[], commands: Commands): Promise<number> {
  const [shell = '', ...rest] = args
  const write = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined
  if (write === undefined || rest.length > 0) return fail('usage: citadel completion bash|zsh|fish', EXIT.usage)
  print(write(commands))
  return EXIT.ok
}

/** The words that may follow a command: its subcommands and its options. */
function wordsOf({ usage, takes }: Command): readonly string[] {
  const verbs = usage.flatMap(line => /^[a-z]+(?:\|[a-z]+)*/.exec(line)?.[0].split('|') ?? [])
  return [...new Set([...verbs, ...optionsTaken(usage, takes)])]
}

function bash(commands: Commands): string {
  const cases = Object.entries(commands).map(
    ([name, command]) => `    ${name}) words="${wordsOf(command).join(' ')}" ;;`,
  )
  return `_citadel() {
  local words="" current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  case "$before" in --config|--env-file|-c) COMPREPLY=($(compgen -f -- "$current")); return ;; esac
  if [ "$COMP_CWORD" -eq 1 ]; then words="${Object.keys(commands).join(' ')} help"; else case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _citadel citadel`
}

/** In zsh `words` are those of the command line: whoever declares them anew no longer sees what was typed. A file that zsh
 * loads by itself runs when the first completion is asked for, and has to answer it. */
function zsh(commands: Commands): string {
  const names = Object.entries(commands).map(([name, { about }]) => `    '${name}:${about.replaceAll("'", '’')}'`)
  const cases = Object.entries(commands).map(
    ([name, command]) => `      ${name}) offers=(${wordsOf(command).join(' ')}) ;;`,
  )
  return `#compdef citadel
_citadel() {
  local -a commands offers
  commands=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )); then _describe command commands
  elif [[ \${words[CURRENT-1]} == (--config|--env-file|-c) ]]; then _files
  else
    local name=\${words[2]}
    case $name in
${cases.join('\n')}
    esac
    compadd -- $offers; _files
  fi
}
if [[ $funcstack[1] == _citadel ]]; then _citadel "$@"; else compdef _citadel citadel; fi`
}

function fish(commands: Commands): string {
  const lines = Object.entries(commands).flatMap(([name, command]) => [
    `complete -c citadel -f -n __fish_use_subcommand -a ${name} -d '${command.about.replaceAll("'", '’')}'`,
    `complete -c citadel -n '__fish_seen_subcommand_from ${name}' -a '${wordsOf(command).join(' ')}'`,
  ])
  return lines.join('\n')
}
