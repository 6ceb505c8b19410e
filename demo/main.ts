import { applyTheme, readSettings } from './settings.ts';
import './page.ts';

applyTheme(readSettings().theme);
