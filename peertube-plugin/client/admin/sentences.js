export const SENTENCES = {
  title: 'Suggestions (Shoal)',
  adminsOnly: 'This page is for administrators of this instance.',
  away: 'The daemon',
  awayText: 'Peers, models and everything that is shared are on the daemon’s page, which is shown here as soon as it answers. What is wrong, and what to do, is below.',

  state: 'Does it work?',
  allWell: 'Nothing needs attention.',
  problemOne: '{count} thing needs attention.',
  problemOther: '{count} things need attention.',
  works: 'works',
  attention: 'needs attention',
  open: 'nothing to say yet',
  check_settings: 'Settings',
  check_consent: 'Consent',
  check_tables: 'Database',
  check_daemon: 'Daemon',
  check_secret: 'Secret',
  check_sync: 'Reading from PeerTube',
  check_participants: 'Viewers who take part',
  check_related: 'Related videos',
  check_browser: 'Suggestions in the browser',
  check_audience: 'Who sees suggestions',
  check_search: 'Search',
  check_federation: 'Other instances',
  checkAgain: 'Check again',

  erase: 'Erase everything',
  eraseText: 'Removes everything that the plugin stored: choices of viewers, what they have hidden, exclusions, the secret, and the key that links viewers to what the daemon knows. Do this before uninstalling, because uninstalling leaves it in the database. To erase the daemon’s own data, run: shoal uninstall',
  eraseNow: 'Erase everything…',
  eraseTitle: 'Erase everything?',
  eraseYes: 'Erase everything',
  cancel: 'Cancel',
  erased: 'Everything that the plugin stored has been erased. You can uninstall it now.'
}

/** @typedef {import('../lib/page.js').Page<keyof typeof SENTENCES>} AdminPage */
