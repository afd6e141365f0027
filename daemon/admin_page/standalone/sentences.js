export const SENTENCES = {
  title: 'Shoal',
  instances: 'Instances of this machine',
  tokenText: 'This page is for whoever runs this daemon. “shoal admin” prints the address that opens it.',
  token: 'Token, or that address',
  tokenWhere: 'The token is also in the file admin.token in the daemon’s data directory. It is another one after each start.',
  open: 'Open',
  refused: 'The daemon does not accept this token. It may have been started again since.',
  noToken: 'This is no token.'
}
