/** What can be asked of the daemon's admin API: paths, orders and answers, by the types made from its OpenAPI description. */
import type { components, paths } from './api.d.ts'

type Method = 'GET' | 'POST'

/** A path of the description as it is asked: its gaps filled, with a query or without. */
type Filled<P> = P extends `${infer Before}{${string}}${infer After}` ? `${Before}${string}${Filled<After>}` : P
type Asked<P> = Filled<P> extends infer F extends string ? F | `${F}?${string}` : never

/** Operations of a method by their path below `/v1/admin/`. */
type Operations<M extends Method> = {
  [P in keyof paths as paths[P][Lowercase<M>] extends object ? P extends `/v1/admin/${infer Below}` ? Below : never : never]:
  paths[P][Lowercase<M>]
}
type Operation<M extends Method, A> = {
  [P in keyof Operations<M>]: A extends Asked<P> ? Operations<M>[P] : never
}[keyof Operations<M>]

type Content<T> = T extends { content: { 'application/json': infer C } } ? C : never
type Good<R> = R extends object ? Content<R[keyof R & (200 | 202)]> : never

export type Path<M extends Method> = Asked<keyof Operations<M>>
/** What is answered at a path. */
export type AnswerAt<M extends Method, A> = Operation<M, A> extends { responses: infer R } ? Good<R> : never
/** What is ordered at a path. */
export type OrderAt<M extends Method, A> = Operation<M, A> extends { requestBody: infer B } ? Content<B> : undefined

/** One type of the description by its name: `Answer<'Peer'>`. */
export type Answer<N extends keyof components['schemas']> = components['schemas'][N]

/** A question to the daemon, or with a body an order: path below `/v1/admin/`, and how long to wait. */
export type Ask = <M extends Method, P extends Path<M>>(method: M, path: P, body?: OrderAt<M, P>, deadline?: number) => Promise<AnswerAt<M, P>>
