import type { LocalPlace } from '#core/local-place.ts'

/** The places where local model servers listen unless they are told otherwise.
 *
 * @param ollamaUrl Where Ollama is, when it was told to be elsewhere. */
export function localPlaces(ollamaUrl: string | null = null): readonly LocalPlace[] {
  const ollama = { kind: 'ollama', path: '/api/tags', field: 'models' }
  const compatible = { kind: 'openai_compatible', path: '/v1/models', field: 'data' }
  return [
    { id: 'ollama', name: 'Ollama', baseUrl: ollamaUrl ?? 'http://127.0.0.1:11434', ...ollama },
    { id: 'vllm', name: 'vLLM', baseUrl: 'http://127.0.0.1:8000', ...compatible },
    { id: 'llama-cpp', name: 'llama.cpp', baseUrl: 'http://127.0.0.1:8080', ...compatible },
    { id: 'lm-studio', name: 'LM Studio', baseUrl: 'http://127.0.0.1:1234', ...compatible },
  ]
}
