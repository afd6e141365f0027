'use strict'

const { videoOfPage } = require('./uuid.js')

/**
 * @typedef {object} RelatedSearch
 * @property {string | undefined} video the video beside which the list stands, undefined when the page does not say
 * @property {number} count how many are asked for
 * @property {string | undefined} language first language of the browser
 */

// Anything that narrows a search: the watch page sends none of these.
const NARROWING = [
  'search', 'host', 'isLive', 'isLocal', 'include', 'categoryOneOf', 'licenceOneOf', 'languageOneOf', 'tagsAllOf',
  'privacyOneOf', 'autoTagOneOf', 'uuids', 'hasHLSFiles', 'hasWebVideoFiles', 'startDate', 'endDate',
  'originallyPublishedStartDate', 'originallyPublishedEndDate', 'durationMin', 'durationMax'
]

/**
 * Tell whether a search is the one that the watch page sends for "Other videos": PeerTube gives it no name, so it is
 * known by what it asks.
 *
 * @param {any} params what PeerTube is about to search with
 * @param {import('express').Request | undefined} req
 * @param {string} webserver the instance's own address
 * @returns {RelatedSearch | undefined}
 */
function parseRelatedSearch (params, req, webserver) {
  if (!params || !req?.query) return undefined
  const { query } = req
  const is = (/** @type {unknown} */ value, /** @type {string} */ wanted) => String(value) === wanted
  if (!is(query.skipCount, 'true') || !is(query.sort, '-publishedAt') || !is(query.searchTarget, 'local')) {
    return undefined
  }
  if (!is(query.start, '0') || NARROWING.some(name => params[name] !== undefined && params[name] !== null)) {
    return undefined
  }
  const count = Number(params.count)
  if (!Number.isInteger(count) || count < 6 || count > 30) return undefined
  return { count, video: videoOfPage(req.headers.referer, webserver), language: firstLanguage(req) }
}

/**
 * Tell whether a request for recommendations is one for the list beside a video.
 *
 * @param {any} params what PeerTube is about to look for
 * @param {import('express').Request | undefined} req
 * @param {string} webserver the instance's own address
 * @returns {RelatedSearch | undefined}
 */
function parseRecommendations (params, req, webserver) {
  const video = req && videoOfPage(req.headers.referer, webserver)
  const count = Number(params?.count)
  if (!video || !Number.isInteger(count) || count < 1 || count > 30) return undefined
  return { count, video, language: firstLanguage(req) }
}

/**
 * Tell whether a search is that of a browser for the videos it ranked by itself: the plugin's own script marks it.
 *
 * @param {any} params what PeerTube is about to search with
 * @param {import('express').Request | undefined} req
 */
function isOfBrowser (params, req) {
  return req?.query?.shoal === 'browser' && Array.isArray(params?.uuids)
}

/** @param {import('express').Request} req */
function firstLanguage (req) {
  const header = req.headers['accept-language']
  return typeof header === 'string' ? /^\s*([a-z]{2,3})\b/i.exec(header)?.[1].toLowerCase() : undefined
}

module.exports = { firstLanguage, isOfBrowser, parseRecommendations, parseRelatedSearch }
