import { createMemoryReplays } from '#stores/memory-replays.ts'
import { replaysContract } from '#tests/contract/replays.ts'

replaysContract('signatures in memory', clock => createMemoryReplays(clock))
