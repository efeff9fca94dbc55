/** A habit of servers that speak OpenAI's format, and what the gateway makes of it. */
export interface Deviation {
  /** Where it was seen. */
  readonly seen: string
  readonly habit: string
  readonly made: string
}

/** Every habit that is made good, by name; each has its test. */
export const DEVIATIONS = {
  comments: {
    seen: 'OpenRouter',
    habit: 'comments keep the connection alive',
    made: 'left out; the gateway has its own',
  },
  no_done: {
    seen: 'Perplexity, GPUStack, ik_llama.cpp',
    habit: 'no `[DONE]`',
    made: 'added once every choice has ended',
  },
  only_done: { seen: 'ik_llama.cpp', habit: 'no `finish_reason`', made: '`stop` or `tool_calls` at `[DONE]`' },
  no_choice_first: {
    seen: 'Azure',
    habit: 'a first chunk without a choice',
    made: 'what it says joins the first chunk with one',
  },
  no_role: { seen: 'GPUStack, ik_llama.cpp', habit: 'no role', made: 'added to the first chunk of each choice' },
  empty_role: { seen: 'several proxies', habit: 'an empty role', made: 'left out' },
  repeated_finish: { seen: 'OpenRouter', habit: 'the finish comes twice', made: 'told once' },
  foreign_reason: {
    seen: 'Together, Mistral, TGI',
    habit: '`eos`, `model_length`, `stop_sequence`, …',
    made: "OpenAI's five reasons",
  },
  tools_end_with_stop: { seen: 'TGI', habit: '`stop` behind tool calls', made: '`tool_calls`' },
  count_with_finish: {
    seen: 'DeepSeek, Mistral, llama.cpp',
    habit: 'usage inside the last chunk',
    made: 'a chunk of its own',
  },
  count_everywhere: { seen: 'Perplexity', habit: 'usage in every chunk', made: 'the last one, as a chunk of its own' },
  count_elsewhere: { seen: 'Groq', habit: 'usage in `x_groq`', made: 'a chunk of its own' },
  total_alone: {
    seen: 'Voyage',
    habit: 'embeddings without `prompt_tokens`',
    made: '`total_tokens`, which are the same',
  },
  content_parts: { seen: 'Mistral', habit: 'content as a list', made: 'text and `reasoning_content`' },
  no_content: { seen: 'Groq, Gemini', habit: 'no content beside tool calls', made: '`null`' },
  no_message: {
    seen: 'Azure',
    habit: 'no message where a filter stopped the answer',
    made: 'a message with `content: null`',
  },
  reasoning: {
    seen: 'Groq, OpenRouter, Ollama, vLLM',
    habit: 'thinking in `reasoning`',
    made: 'also in `reasoning_content`',
  },
  null_lists: { seen: 'Mistral, LiteLLM, vLLM', habit: '`tool_calls: null`, `annotations: null`', made: 'left out' },
  empty_id: { seen: 'TGI', habit: 'an empty id', made: 'an id made from the answer' },
  other_object: { seen: 'Perplexity, Azure', habit: 'another `object`, or none', made: "OpenAI's" },
  tool_id: { seen: 'Gemini, TGI', habit: 'tool calls with an empty id, or with `0`', made: 'ids made from the answer' },
  tool_index: { seen: 'Anthropic', habit: 'tool calls numbered from 1, or not at all', made: 'numbered from 0' },
  plain_tool_index: {
    seen: 'DeepSeek, Mistral',
    habit: 'numbers on the tool calls of a plain answer',
    made: 'left out',
  },
  tool_head_repeated: { seen: 'TGI, Alibaba', habit: 'id and name in every piece', made: 'told once' },
  tool_arguments: { seen: 'older Ollama', habit: 'arguments as an object', made: 'JSON text' },
  error_in_200: { seen: 'Azure, OpenRouter', habit: 'an error under HTTP 200', made: 'an error' },
  error_event: { seen: 'Groq', habit: '`event: error` in a stream', made: 'an error' },
  error_finish: { seen: 'OpenRouter, DeepSeek', habit: 'a `finish_reason` that is a failure', made: 'an error' },
  error_text: { seen: 'xAI, Ollama', habit: '`error` is a sentence', made: "OpenAI's four fields" },
  error_number: { seen: 'vLLM, OpenRouter', habit: '`code` is a number', made: "one of the gateway's codes" },
  error_detail: { seen: 'Mistral, FastAPI', habit: '`detail` instead of `error`', made: "OpenAI's four fields" },
  bare_list: { seen: 'Together', habit: 'the list of models without `data`', made: 'read all the same' },
} as const satisfies Readonly<Record<string, Deviation>>
