'use strict'

/**
 * @typedef {'members-only' | 'registration' | 'logins'} Opening why people whom the admin did not let in can see
 *   suggestions: the setting is off, anybody may register or ask to, or other programs decide who may log in
 */

/** Who can see suggestions. */
class Audience {
  /**
   * @param {{ settings: import('./settings.js').Settings,
   *           config: import('@peertube/peertube-types').PeerTubeHelpers['config'], isErased: () => boolean }} parts
   */
  constructor ({ settings, config, isErased }) {
    this.settings = settings
    this.config = config
    this.isErased = isErased
  }

  /**
   * None where only those see suggestions whom the admin let in. What PeerTube does not say counts as open.
   *
   * @returns {Promise<Opening[]>}
   */
  async openings () {
    const { signup, plugin } = await this.config.getServerConfig()
    /** @type {Opening[]} */
    const found = []
    if (!this.settings.values.membersOnly || this.isErased()) found.push('members-only')
    // Where the admin has to approve each, anybody may still ask.
    if (signup?.allowed !== false) found.push('registration')
    const logins = [plugin?.registeredExternalAuths, plugin?.registeredIdAndPassAuths]
    if (logins.some(known => known?.length !== 0)) found.push('logins')
    return found
  }
}

module.exports = { Audience }
