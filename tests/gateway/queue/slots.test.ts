import { createSlots } from '#gateway/queue/slots.ts'
import { createSharedFolder, openSharedMemory } from '#stores/shared.ts'
import { createSharedPlaces } from '#stores/shared-places.ts'
import { slotsContract } from '#tests/contract/slots.ts'

slotsContract('places in this process', createSlots)

slotsContract('places that processes share', states => {
  const { folder, remove } = createSharedFolder()
  const places = createSharedPlaces(openSharedMemory(folder, 1))
  remove()
  return createSlots(states, null, places)
})
