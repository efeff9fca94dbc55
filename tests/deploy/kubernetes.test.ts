import { describe, expect, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { validate as deployment } from 'kubernetes-models/_schemas/IoK8sApiAppsV1Deployment'
import { validate as autoscaler } from 'kubernetes-models/_schemas/IoK8sApiAutoscalingV2HorizontalPodAutoscaler'
import { validate as namespace } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Namespace'
import { validate as service } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Service'
import { validate as networkPolicy } from 'kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy'
import { validate as disruptionBudget } from 'kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget'
import { parse } from 'yaml'
import { loadConfig } from '#config/load.ts'
import { readSnippets } from '#tests/docs/snippets.ts'
import { exposedMetrics } from '#tests/monitoring/exposed.ts'
import { checkWith } from '#tests/support/prometheus.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { DEPLOY, ROOT, read, stopSeconds } from './files.ts'

const SCHEMAS: Readonly<Record<string, (value: unknown) => boolean>> = {
  Deployment: deployment,
  HorizontalPodAutoscaler: autoscaler,
  Namespace: namespace,
  NetworkPolicy: networkPolicy,
  PodDisruptionBudget: disruptionBudget,
  Service: service,
}

/** Everything in a manifest that its schema does not know: the schemas themselves let it pass, so that what they never
 * looked at tells.
 *
 * @throws Error when the manifest is against its schema. */
function unknownIn(manifest: { readonly kind: string }): readonly string[] {
  const seen = new Set<string>()
  const validate = SCHEMAS[manifest.kind]
  if (validate === undefined) throw new Error(`no schema for ${manifest.kind}`)
  if (!validate(watched(manifest, '', seen))) throw new Error(`${manifest.kind} is against its schema`)
  return pathsOf(manifest, '').filter(path => !seen.has(path) && seen.has(path.slice(0, path.lastIndexOf('/'))))
}

function watched(value: unknown, path: string, seen: Set<string>): unknown {
  seen.add(path)
  if (typeof value !== 'object' || value === null) return value
  return new Proxy(value, {
    get(target, key) {
      const inner: unknown = Reflect.get(target, key)
      return typeof key === 'symbol' || !Object.hasOwn(target, key) ? inner : watched(inner, `${path}/${key}`, seen)
    },
  })
}

function pathsOf(value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => [`${path}/${key}`, ...pathsOf(inner, `${path}/${key}`)])
}

const manifest = (name: string) => parse(read(`kubernetes/${name}.yaml`))
const kustomization = manifest('kustomization')
const pod = manifest('deployment').spec.template
const [container] = pod.spec.containers

describe('the manifests', () => {
  test('are all applied', () => {
    const files = readdirSync(join(DEPLOY, 'kubernetes'))
    const named = ['kustomization.yaml', ...kustomization.resources, ...kustomization.configMapGenerator[0].files]

    expect(named.toSorted()).toEqual(files.toSorted())
  })

  test.each(kustomization.resources as string[])('%s follows its schema', file => {
    expect(unknownIn(parse(read(`kubernetes/${file}`)))).toEqual([])
  })

  test('would not follow them with a mistake', () => {
    const [broken, misspelt] = [manifest('deployment'), manifest('deployment')]
    broken.spec.replicas = 'two'
    misspelt.spec.template.spec.containers[0].readynessProbe = {}

    expect(() => unknownIn(broken)).toThrow('against its schema')
    expect(unknownIn(misspelt)).toEqual(['/spec/template/spec/containers/0/readynessProbe'])
  })

  test('speak of the same pods', () => {
    const { labels } = pod.metadata
    const selectors = [
      manifest('deployment').spec.selector.matchLabels,
      manifest('service').spec.selector,
      manifest('disruption').spec.selector.matchLabels,
      manifest('network').spec.podSelector.matchLabels,
    ]

    for (const selector of selectors) expect(selector).toEqual(labels)
    expect(manifest('autoscaler').spec.scaleTargetRef.name).toBe(manifest('deployment').metadata.name)
  })
})

describe('a pod', () => {
  test('is asked whether it lives and whether it is ready, and has time to stop', () => {
    expect(container.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'http' })
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'http' })
    expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThan(stopSeconds())
    // Taken off the list of those that are ready before it stops serving.
    const { periodSeconds, failureThreshold } = container.readinessProbe
    expect(periodSeconds * failureThreshold).toBeLessThan(5)
  })

  test('may do what the strictest standard of Kubernetes allows', () => {
    expect(pod.spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect(manifest('namespace').metadata.labels['pod-security.kubernetes.io/enforce']).toBe('restricted')
    expect(read('docker/Dockerfile')).toContain(`USER ${pod.spec.securityContext.runAsUser}:`)
  })

  test('has the image, the ports and the configuration that there are', async () => {
    const { version } = await Bun.file(join(ROOT, 'package.json')).json()
    const [{ name, files }] = kustomization.configMapGenerator
    const { warnings } = await loadConfig({ files: [join(DEPLOY, 'kubernetes', files[0])], env: {} })

    expect(container.image).toBe(`citadel-gateway:${version}`)
    expect(container.args).toContain(`/etc/citadel/${files[0]}`)
    expect(pod.spec.volumes[0].configMap.name).toBe(name)
    expect(warnings).toEqual([])
    const ports: string[] = container.ports.map((port: { name: string }) => port.name)
    const wanted: { port: string }[] = manifest('network').spec.ingress.flatMap(
      ({ ports: all }: { ports: object[] }) => all,
    )
    expect(wanted.filter(({ port }) => !ports.includes(port))).toEqual([])
  })
})

test('pods are added by metrics that the gateway exposes', async () => {
  const exposed = await exposedMetrics()
  const asked: string[] = manifest('autoscaler').spec.metrics.map(
    ({ pods }: { pods: { metric: { name: string } } }) => pods.metric.name,
  )

  expect(asked).toEqual(['http_requests_in_flight', 'gateway_queue_depth'])
  expect(asked.filter(name => !exposed.has(name))).toEqual([])
})

test('pods are found by the scrape configuration of the guide', async () => {
  const snippet = readSnippets().find(({ name, code }) => name.startsWith('deploy.md') && /^scrape_configs:/.test(code))
  const { scrape_configs } = parse(snippet?.code ?? '')
  const folder = await ownFolder('citadel-scrape-')
  // Debian's Prometheus is built without Kubernetes.
  const elsewhere = snippet?.code.replace(/kubernetes_sd_configs: .*/, 'static_configs: []') ?? ''
  await writeFile(join(folder.path, 'prometheus.yml'), elsewhere)

  const said = await checkWith('promtool', 'check', 'config', join(folder.path, 'prometheus.yml'))
  await folder.remove()

  expect(said).toContain('SUCCESS')
  expect(scrape_configs[0].job_name).toBe('citadel')
  const ports: string[] = container.ports.map((port: { name: string }) => port.name)
  expect(ports).toContain(scrape_configs[0].relabel_configs[0].regex)
})
